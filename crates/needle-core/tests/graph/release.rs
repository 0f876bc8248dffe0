//! What a sweep and the last handle release, seen from the storages: a value that a test
//! holds is shared for as long as a node has it too.

use crate::common::{
    Tensor, add, assert_close, backward, call, data, eagerly, exp, gradient, lazily, mul, reshape,
    scale, sum, values, var, without_leak,
};
use needle_core::graph;
use needle_core::ops::elementary;
use needle_core::ops::linalg::MATMUL;
use needle_core::{Array, DType};

/// The value of a tensor, which is then dropped.
fn keep(tensor: Tensor) -> Array {
    let array = tensor.array().unwrap();
    drop(tensor);
    array
}

fn is_released(array: &Array) -> bool {
    array.storage().is_private(1)
}

#[test]
fn interior_values_go_with_the_sweep() {
    without_leak(|| {
        eagerly(|| {
            let x = var(&[1.0, 2.0]);
            let inner = exp(&x);
            let held = mul(&inner, &inner);
            let y = sum(&mul(&held, &inner));
            let (inner, kept) = (keep(inner), held.array().unwrap());
            assert!(!is_released(&inner), "the rules to come will read it");
            let first = gradient(&y, &x);
            assert!(is_released(&inner), "nobody will read it");
            assert!(!is_released(&kept), "its handle lives");
            let second = gradient(&y, &x);
            assert_eq!(values(&first), values(&second));
        });
    });
}

#[test]
fn small_values_stay_once_gradients_are_differentiated() {
    without_leak(|| {
        eagerly(|| {
            let cube = |n: usize| {
                let x = var(&vec![0.5; n]);
                let inner = exp(&x);
                let y = sum(&mul(&inner, &inner));
                (x, y, keep(inner))
            };
            let (x, y, inner) = cube(2);
            let slope = gradient(&y, &x);
            assert!(
                is_released(&inner),
                "nothing speaks for a second derivative yet"
            );
            gradient(&sum(&slope), &x);
            let (x, y, inner) = cube(2);
            let slope = gradient(&y, &x);
            assert!(!is_released(&inner), "the next sweep will read it");
            gradient(&sum(&slope), &x);
            drop((x, y, slope));
            assert!(is_released(&inner), "the graph is gone");
            let (x, y, inner) = cube(1 << 15);
            gradient(&y, &x);
            assert!(is_released(&inner), "large values are computed again");
            // Sixteen sweeps later nothing speaks for it any more.
            for _ in 0..16 {
                gradient(&y, &x);
            }
            let (x, y, inner) = cube(2);
            gradient(&y, &x);
            assert!(is_released(&inner));
        });
    });
}

/// The size of a result says nothing about what its rule reads, and a lazy gradient is
/// recorded before anything is computed.
#[test]
fn large_values_go_even_where_results_are_small_or_lazy() {
    without_leak(|| {
        let n = 1 << 15;
        let (x, row, column) = eagerly(|| {
            let cube = var(&[0.5]);
            let slope = gradient(&mul(&cube, &mul(&cube, &cube)), &cube);
            // From here on sweeps keep small values.
            gradient(&slope, &cube);
            (var(&vec![0.5; n]), [1, n as isize], [n as isize, 1])
        });
        eagerly(|| {
            let inner = exp(&x);
            let y = call(
                &MATMUL,
                &[&reshape(&inner, &row), &reshape(&inner, &column)],
            );
            let inner = keep(inner);
            gradient(&y, &x);
            assert!(is_released(&inner));
        });
        lazily(|| {
            let inner = exp(&x);
            let y = sum(&mul(&inner, &inner));
            y.array().unwrap();
            let slope = gradient(&y, &x);
            slope.array().unwrap();
            drop(y);
            let inner = keep(inner);
            assert!(is_released(&inner));
        });
    });
}

#[test]
fn what_no_rule_reads_goes_at_once() {
    without_leak(|| {
        eagerly(|| {
            let x = var(&[1.0, 2.0]);
            // A sum reads neither its input nor its output, exp only its output.
            let scaled = scale(&x, 2.0);
            let y = exp(&scaled);
            assert!(is_released(&keep(scaled)));
            let total = sum(&y);
            let y = keep(y);
            assert!(!is_released(&y));
            drop(total);
            assert!(is_released(&y));
        });
    });
}

#[test]
fn another_consumer_keeps_the_value() {
    without_leak(|| {
        eagerly(|| {
            let x = var(&[1.0, 2.0]);
            let shared = exp(&x);
            let sine = call(&elementary::SIN, &[&shared]);
            let cosine = call(&elementary::COS, &[&shared]);
            let shared = keep(shared);
            gradient(&sine, &x);
            assert!(!is_released(&shared), "the cosine has not been visited");
            gradient(&cosine, &x);
            assert!(is_released(&shared));
        });
    });
}

#[test]
fn an_exported_value_stays_in_its_node() {
    without_leak(|| {
        eagerly(|| {
            let x = var(&[1.0, 2.0]);
            let inner = exp(&x);
            let export = inner.array().unwrap().storage().export();
            let y = sum(&mul(&inner, &x));
            let kept = inner.array().unwrap();
            drop(inner);
            gradient(&y, &x);
            // Recomputing would give other memory, which nobody outside sees.
            let inner = y.inputs()[0].inputs().remove(0);
            assert!(inner.is_realised());
            assert!(inner.array().unwrap().storage().is_same(kept.storage()));
            drop(export);
        });
    });
}

#[test]
fn a_lazy_graph_computes_and_keeps_only_what_is_needed() {
    without_leak(|| {
        lazily(|| {
            let x = var(&[1.0, 2.0]);
            let inner = exp(&x);
            let y = sum(&scale(&inner, 3.0));
            assert!(!inner.is_realised());
            y.array().unwrap();
            assert!(inner.is_realised(), "its handle wants it");
            let scaled = y.inputs().remove(0);
            assert!(!scaled.is_realised(), "nobody reads it");
            assert_close(
                &values(&scaled),
                &[3.0 * 1.0_f64.exp(), 3.0 * 2.0_f64.exp()],
            );
        });
    });
}

#[test]
fn dropping_the_last_handle_frees_the_graph() {
    without_leak(|| {
        let before = graph::live_nodes();
        let x = var(&[1.0]);
        let y = add(&exp(&x), &mul(&x, &data(&[2.0])));
        assert_eq!(graph::live_nodes() - before, 5);
        let other = exp(&y);
        drop(y);
        drop(x);
        assert_eq!(
            graph::live_nodes() - before,
            6,
            "the last result needs them all"
        );
        drop(other);
        assert_eq!(graph::live_nodes(), before);
    });
}

#[test]
fn gradients_make_no_cycle() {
    without_leak(|| {
        let x = var(&[1.0]);
        let y = mul(&x, &x);
        let mut gradients = backward(&y);
        let second = backward(&gradients.pop().unwrap().gradient);
        drop((x, y));
        assert!(!second.is_empty());
    });
}

#[test]
fn ten_thousand_steps_leave_nothing() {
    without_leak(|| {
        let mut w = var(&[1.0, 2.0]);
        let mut most = 0;
        for _ in 0..10_000 {
            let loss = sum(&mul(&w, &w));
            let gradient = gradient(&loss, &w);
            let next = add(&w, &scale(&gradient, -0.1)).detach().unwrap();
            next.set_requires_grad(true).unwrap();
            w = next;
            most = most.max(graph::live_nodes());
        }
        assert!(most < 100, "{most} nodes");
        assert_eq!(w.ty().unwrap().dtype, DType::F64);
        assert!(values(&w)[1].abs() < 1e-100);
    });
}
