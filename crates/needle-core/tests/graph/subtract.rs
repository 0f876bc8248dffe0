//! `a - b`: recorded as `a + (-b)`, computed as one subtraction.

use crate::common::{
    backward, data, eagerly, error, exp, in_both_modes, lazily, of, set, values, var, without_leak,
};
use needle_core::dtype::Bool;
use needle_core::graph::{self, subtract};
use needle_core::{Array, DType, Tensor};

fn name(tensor: &Tensor) -> String {
    tensor.operation().unwrap().name()
}

#[test]
fn it_records_two_nodes_and_computes_one() {
    in_both_modes(|| {
        let (a, b) = (var(&[5.0, 1.0]), var(&[3.0, 4.0]));
        let y = subtract(&a, &b).unwrap();
        assert_eq!(values(&y), [2.0, -3.0]);
        assert_eq!(name(&y), "add");
        let inputs = y.inputs();
        assert_eq!(inputs[0].node_id(), a.node_id());
        let negated = &inputs[1];
        assert_eq!(name(negated), "negate");
        assert!(!negated.is_realised(), "nobody has read it");
        assert_eq!(negated.inputs()[0].node_id(), b.node_id());
        let gradients = backward(&y);
        assert_eq!(values(&of(&gradients, &a).unwrap()), [1.0, 1.0]);
        assert_eq!(values(&of(&gradients, &b).unwrap()), [-1.0, -1.0]);
        assert_eq!(values(negated), [-3.0, -4.0]);
    });
}

#[test]
fn without_gradient_it_is_one_op() {
    without_leak(|| {
        eagerly(|| {
            let before = graph::live_nodes();
            let y = subtract(&data(&[5.0]), &data(&[3.0])).unwrap();
            assert!(y.is_leaf());
            assert_eq!(graph::live_nodes(), before);
        });
    });
}

#[test]
fn the_negation_of_a_replaced_value_is_gone() {
    without_leak(|| {
        eagerly(|| {
            let (a, b) = (var(&[5.0]), var(&[3.0]));
            let y = subtract(&a, &b).unwrap();
            set(&b, &[100.0]);
            let negated = y.inputs().remove(1);
            let text = error(negated.array());
            assert!(
                text.starts_with("Grad(negate: its value was released"),
                "{text}"
            );
            assert_eq!(values(&y), [2.0]);
        });
    });
}

#[test]
fn a_released_difference_is_recomputed() {
    without_leak(|| {
        eagerly(|| {
            let (a, b) = (var(&[5.0]), var(&[3.0]));
            let y = exp(&exp(&subtract(&a, &b).unwrap()));
            drop(backward(&y));
            let inner = y.inputs().remove(0).inputs().remove(0);
            assert!(!inner.is_realised());
            assert_eq!(values(&inner), [2.0]);
        });
    });
}

/// Integers wrap when they are negated, so they must be widened before.
#[test]
fn integers_of_another_width() {
    let results = || -> Vec<(Vec<f64>, DType)> {
        let float = || Tensor::leaf(Array::from_slice(&[5.0_f32], &[1]).unwrap(), true);
        let one = Tensor::leaf(Array::from_slice(&[1_u8], &[1]).unwrap(), false);
        let lowest = Tensor::leaf(Array::from_slice(&[i8::MIN], &[1]).unwrap(), false);
        let wide = Tensor::leaf(Array::from_slice(&[5_i32], &[1]).unwrap(), false);
        let flag = Tensor::leaf(Array::from_slice(&[Bool(1)], &[1]).unwrap(), false);
        let pairs = [
            (float(), &one),
            (float(), &lowest),
            (float(), &flag),
            (wide.clone(), &one),
            (wide.clone(), &lowest),
            (wide.clone(), &flag),
            (one.clone(), &one),
        ];
        let difference = |(a, b): &(Tensor, &Tensor)| {
            let y = subtract(a, b).unwrap();
            (values(&y), y.ty().unwrap().dtype)
        };
        pairs.iter().map(difference).collect()
    };
    without_leak(|| {
        let expected = [4.0, 133.0, 4.0, 4.0, 133.0, 4.0, 0.0].map(|v| vec![v]);
        let (eager, lazy) = (eagerly(results), lazily(results));
        assert_eq!(eager, lazy);
        let found: Vec<_> = eager.into_iter().map(|(values, _)| values).collect();
        assert_eq!(found, expected);
    });
}

#[test]
fn two_bools_are_refused_alike() {
    in_both_modes(|| {
        let flag = Tensor::leaf(Array::from_slice(&[Bool(1)], &[1]).unwrap(), false);
        let text = error(subtract(&flag, &flag));
        assert_eq!(
            text,
            "DType(subtract: bool is not supported\nhint: use not_equal)"
        );
    });
}
