//! Arrays of the `ndarray` crate, there and back.

use crate::support::each_isa;
use ndarray::{Array2, ArrayD, Axis, arr2};
use needle_kernels::Array;
use needle_kernels::dtype::DType;

#[test]
fn a_view_has_the_elements_whatever_the_strides() {
    each_isa(200, |random| {
        let shape = random.shape(4);
        let x = random.array(DType::F64, &shape, false);
        // SAFETY: nobody writes to the array.
        let view = unsafe { x.view::<f64>() };
        assert_eq!(view.shape(), shape);
        let elements: Vec<f64> = view.iter().copied().collect();
        assert_eq!(elements, x.to_vec::<f64>());
    });
}

#[test]
fn an_array_is_made_of_any_view() {
    let a: Array2<i32> = arr2(&[[1, 2, 3], [4, 5, 6]]);
    let mut back = a.view();
    back.invert_axis(Axis(1));
    let x = Array::from_ndarray(&back.t()).unwrap();
    assert_eq!((x.shape(), x.dtype()), (&[3, 2][..], DType::I32));
    assert_eq!(x.to_vec::<i32>(), [3, 6, 2, 5, 1, 4]);
    let none = ArrayD::<f32>::zeros(vec![2, 0]);
    assert_eq!(Array::from_ndarray(&none.view()).unwrap().shape(), [2, 0]);
}

#[test]
#[should_panic(expected = "left == right")]
fn an_array_is_not_read_as_another_type() {
    Array::zeros(DType::U8, &[1]).unwrap().to_vec::<u64>();
}
