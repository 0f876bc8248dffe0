//! Copies, casts, reshapes, joins.

use crate::support::{Value, each_isa, values};
use needle_kernels::array::{Index, Slice};
use needle_kernels::dtype::{Bool, DType, Kind, Scalar};
use needle_kernels::kernels::cast::cast;
use needle_kernels::kernels::copy::{contiguous, full, reshape};
use needle_kernels::kernels::join::{concat, put};
use needle_kernels::kernels::reduce::any_negative;
use needle_kernels::{Array, dispatch};

fn assert_same(a: &[Value], b: &[Value]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!(a.same(*b), "{a:?} is not {b:?}");
    }
}

#[test]
fn copies_and_reshapes_keep_every_element() {
    each_isa(200, |random| {
        for &dtype in DType::ALL {
            let shape = random.shape(4);
            let x = random.array(dtype, &shape, true);
            let y = contiguous(&x).unwrap();
            assert!(y.is_contiguous() && y.shape() == x.shape());
            assert_same(&values(&x), &values(&y));
            let mut other = shape.clone();
            other.reverse();
            let y = reshape(&x, &other).unwrap();
            assert_eq!(y.shape(), other);
            assert_same(&values(&x), &values(&y));
            let negative = values(&x).iter().any(|v| v.real() < 0.0);
            assert_eq!(any_negative(&x).unwrap(), negative && !dtype.is_float());
        }
    });
}

#[test]
fn casts_are_those_of_c() {
    each_isa(30, |random| {
        for &from in DType::ALL {
            for &to in DType::ALL {
                let shape = random.shape(3);
                // What a float beyond the range becomes is nobody's promise: see below.
                let wild = !from.is_float();
                let x = random.array(from, &shape, wild);
                let y = cast(&x, to).unwrap();
                assert!(y.dtype() == to && y.shape() == x.shape());
                for (x, y) in values(&x).into_iter().zip(values(&y)) {
                    let expected = match to.kind() {
                        Kind::Bool => Value::Int(i128::from(x.real() != 0.0)),
                        Kind::Float => Value::Real(x.real()).round(to),
                        // Unsigned targets of negative floats are undefined in C.
                        Kind::Unsigned if from.is_float() && x.real() <= -1.0 => continue,
                        _ => Value::Int(x.int()).round(to),
                    };
                    assert!(y.same(expected), "{from} to {to}: {x:?} gives {y:?}");
                }
            }
        }
    });
}

#[test]
fn constants_are_converted() {
    for &dtype in DType::ALL {
        let x = full(dtype, &[2, 3], Scalar::Int(1)).unwrap();
        assert_eq!(x.to_f64_vec(), [1.0; 6]);
        assert_eq!(
            full(dtype, &[], Scalar::Bool(true)).unwrap().to_f64_vec(),
            [1.0]
        );
        assert_eq!(full(dtype, &[3, 0], Scalar::Float(2.5)).unwrap().size(), 0);
    }
    assert_eq!(
        full(DType::I8, &[1], Scalar::Float(2.9))
            .unwrap()
            .to_vec::<i8>(),
        [2]
    );
    assert!(
        full(DType::Bool, &[1], Scalar::Float(0.5))
            .unwrap()
            .to_vec::<Bool>()[0]
            .get()
    );
}

#[test]
fn concat_stands_the_parts_in_a_row() {
    each_isa(200, |random| {
        for &dtype in DType::ALL {
            let mut shape = random.shape(3);
            shape.push(1 + random.below(4));
            let axis = random.below(shape.len());
            let parts: Vec<Array> = (0..=random.below(4))
                .map(|_| {
                    shape[axis] = random.below(5);
                    random.array(dtype, &shape, true)
                })
                .collect();
            let all: Vec<&Array> = parts.iter().collect();
            let joined = concat(&all, axis).unwrap();
            let mut start = 0;
            for part in &parts {
                let len = part.shape()[axis];
                let whole = |n: usize| {
                    Index::Range(Slice {
                        start: 0,
                        step: 1,
                        len: n,
                    })
                };
                let mut index: Vec<Index> = part.shape().iter().map(|&n| whole(n)).collect();
                index[axis] = Index::Range(Slice {
                    start,
                    step: 1,
                    len,
                });
                let piece = joined.index("test", &index).unwrap();
                assert_same(&values(&piece), &values(part));
                start += len as isize;
            }
            assert_eq!(joined.shape()[axis] as isize, start);
        }
    });
}

#[test]
fn put_is_the_inverse_of_indexing() {
    let index = [
        Index::At(-1),
        Index::Range(Slice {
            start: 2,
            step: -2,
            len: 2,
        }),
        Index::NewAxis,
    ];
    for &dtype in DType::ALL {
        let part = full(dtype, &[2, 1, 2], Scalar::Int(1)).unwrap();
        let whole = put(&[2, 3, 2], &index, &part).unwrap();
        assert_eq!(
            whole.to_f64_vec(),
            [0., 0., 0., 0., 0., 0., 1., 1., 0., 0., 1., 1.]
        );
        assert_eq!(whole.index("test", &index).unwrap().to_f64_vec(), [1.0; 4]);
        assert!(
            put(
                &[2, 3, 2],
                &index,
                &full(dtype, &[2], Scalar::Int(1)).unwrap()
            )
            .is_err()
        );
    }
    let empty = dispatch!(DType::F32, T => Array::from_slice::<T>(&[], &[0]).unwrap());
    let none = Index::Range(Slice {
        start: 3,
        step: 1,
        len: 0,
    });
    assert_eq!(
        put(&[3], &[none], &empty).unwrap().to_vec::<f32>(),
        [0.0; 3]
    );
}
