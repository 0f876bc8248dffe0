//! Threads: they share the arena, and may share a graph.

use crate::common::spy::{Quirk, Spy};
use crate::common::{
    Tensor, add, data, exp, gradient, in_both_modes, lazily, mul, scale, set, sum, values, var,
    without_leak,
};
use std::sync::Barrier;
use std::thread;

/// Runs `f` on two threads that start together.
fn twice<R: Send>(f: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let barrier = Barrier::new(2);
    let run = |i| {
        barrier.wait();
        f(i)
    };
    let run = &run;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|i| scope.spawn(move || run(i))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn two_threads_realise_one_lazy_graph() {
    without_leak(|| {
        for round in 0..200 {
            let x = var(&[f64::from(round) / 200.0; 8]);
            let spy = Spy::new(Quirk::None);
            let y = lazily(|| {
                let mut y = spy.call(&x);
                for _ in 0..20 {
                    y = add(&scale(&exp(&y), 0.1), &mul(&x, &y));
                }
                y
            });
            let results = twice(|_| values(&y));
            assert_eq!(results[0], results[1]);
            assert_eq!(
                values(&y),
                results[0],
                "what was published is what was returned"
            );
            assert!(spy.calls().0 <= 2);
        }
    });
}

#[test]
fn two_threads_differentiate_one_graph() {
    in_both_modes(|| {
        for _ in 0..100 {
            let x = var(&[0.5, 0.25]);
            let mut y = exp(&x);
            for _ in 0..10 {
                y = mul(&y, &exp(&scale(&y, 0.01)));
            }
            let y = sum(&y);
            let alone = values(&gradient(&y, &x));
            let results = twice(|_| values(&gradient(&y, &x)));
            assert_eq!(results, [alone.clone(), alone]);
        }
    });
}

/// Gradient descent to the root of a number.
fn train(target: f64) -> f64 {
    let w = var(&[1.0]);
    for _ in 0..2000 {
        let error = add(&mul(&w, &w), &data(&[-target]));
        let gradient = gradient(&sum(&mul(&error, &error)), &w);
        set(&w, &[values(&w)[0] - 0.01 * values(&gradient)[0]]);
    }
    values(&w)[0]
}

#[test]
fn two_threads_train_two_models() {
    without_leak(|| {
        let results = twice(|i| train([2.0, 3.0][i]));
        assert!((results[0] - 2.0_f64.sqrt()).abs() < 1e-9, "{results:?}");
        assert!((results[1] - 3.0_f64.sqrt()).abs() < 1e-9, "{results:?}");
    });
}

#[test]
fn a_leaf_becomes_one_node() {
    without_leak(|| {
        for _ in 0..200 {
            let x = var(&[2.0]);
            let results: Vec<Tensor> = twice(|_| mul(&x, &x));
            let y = add(&results[0], &results[1]);
            assert_eq!(values(&gradient(&y, &x)), [8.0]);
        }
    });
}

#[test]
fn the_last_handle_may_go_anywhere() {
    without_leak(|| {
        for _ in 0..50 {
            let x = var(&[1.0]);
            let mut y = exp(&x);
            for _ in 0..100 {
                y = scale(&y, 0.9);
            }
            let (a, b) = (exp(&y), mul(&y, &x));
            drop((x, y));
            thread::scope(|scope| {
                scope.spawn(move || drop(a));
                scope.spawn(move || drop(b));
            });
        }
    });
}
