//! Comparison kernels, and selection.

use crate::support::{Value, each_isa, values};
use needle_kernels::dtype::{DType, Scalar};
use needle_kernels::kernels::elementwise::{EQUAL, LESS, LESS_EQUAL, NOT_EQUAL, Zip, select};
use needle_kernels::shape;

const COMPARE: [&Zip; 4] = [&EQUAL, &NOT_EQUAL, &LESS, &LESS_EQUAL];

fn compare_reference(op: &Zip, a: Value, b: Value) -> bool {
    let order = match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
        _ => a.real().partial_cmp(&b.real()),
    };
    match op.name() {
        "EQUAL" => order.is_some_and(std::cmp::Ordering::is_eq),
        "NOT_EQUAL" => !order.is_some_and(std::cmp::Ordering::is_eq),
        "LESS" => order.is_some_and(std::cmp::Ordering::is_lt),
        _ => order.is_some_and(std::cmp::Ordering::is_le),
    }
}

#[test]
fn comparisons_match_the_reference() {
    each_isa(40, |random| {
        for op in COMPARE {
            for &dtype in DType::ALL {
                let full = random.shape(4);
                let (own_a, own_b) = (random.narrower(&full), random.narrower(&full));
                let a = random.array(dtype, &own_a, true);
                let b = random.array(dtype, &own_b, true);
                let c = op.of(&a, &b).unwrap();
                let full = shape::broadcast("test", &own_a, &own_b).unwrap();
                assert!(c.shape() == full.as_slice() && c.dtype() == DType::Bool);
                let (wide_a, wide_b) = (a.broadcast_to(&full), b.broadcast_to(&full));
                for ((a, b), c) in values(&wide_a)
                    .into_iter()
                    .zip(values(&wide_b))
                    .zip(values(&c))
                {
                    assert_eq!(
                        c.int() == 1,
                        compare_reference(op, a, b),
                        "{op:?} {dtype} {a:?} {b:?}"
                    );
                }
                let c = op.with(&a, Scalar::Int(1)).unwrap();
                let one = if dtype.is_float() {
                    Value::Real(1.0)
                } else {
                    Value::Int(1)
                };
                for (a, c) in values(&a).into_iter().zip(values(&c)) {
                    assert_eq!(
                        c.int() == 1,
                        compare_reference(op, a, one),
                        "{op:?} {dtype} {a:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn selection_takes_one_side_only() {
    each_isa(100, |random| {
        for &dtype in DType::ALL {
            let full = random.shape(4);
            let (own_c, own_a, own_b) = (
                random.narrower(&full),
                random.narrower(&full),
                random.narrower(&full),
            );
            let c = random.array(DType::Bool, &own_c, true);
            let a = random.array(dtype, &own_a, true);
            let b = random.array(dtype, &own_b, true);
            let full = shape::broadcast("test", &own_a, &own_b).unwrap();
            let full = shape::broadcast("test", &own_c, &full).unwrap();
            let out = select(&c, &a, &b).unwrap();
            assert!(out.shape() == full.as_slice() && out.dtype() == dtype);
            let (c, a) = (
                values(&c.broadcast_to(&full)),
                values(&a.broadcast_to(&full)),
            );
            let b = values(&b.broadcast_to(&full));
            for (i, out) in values(&out).into_iter().enumerate() {
                assert!(out.same(if c[i].int() == 1 { a[i] } else { b[i] }));
            }
        }
    });
}
