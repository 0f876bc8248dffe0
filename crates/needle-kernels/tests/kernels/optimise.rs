//! Steps of optimisers: where they write, and the same bits wherever that is. Their formulas
//! are tested beside NumPy.

use crate::support::each_isa;
use needle_kernels::Array;
use needle_kernels::array::Storage;
use needle_kernels::kernels::optimise::{
    Adagrad, Adam, Job, Lion, RmsProp, Sgd, Step, adagrad, adam, lion, norm, rms_prop, run, sgd,
};
use needle_kernels::kernels::threads;

/// Enough for several threads, and no whole number of vectors.
const N: usize = 100_001;

fn wave(n: usize, phase: f64) -> Array {
    let values: Vec<f32> = (0..n)
        .map(|i| (i as f64 * 0.37 + phase).sin() as f32)
        .collect();
    Array::from_slice(&values, &[n]).unwrap()
}

fn momentum() -> Step {
    sgd(&Sgd {
        lr: 0.1,
        momentum: 0.9,
        dampening: 0.9,
        weight_decay: 0.01,
        nesterov: false,
    })
}

fn rules() -> Vec<Step> {
    let (lr, eps, weight_decay) = (0.1, 1e-8, 0.01);
    vec![
        momentum(),
        adam(&Adam {
            lr,
            beta1: 0.9,
            beta2: 0.99,
            eps,
            weight_decay,
            decoupled: true,
            t: 3,
        }),
        rms_prop(&RmsProp {
            lr,
            alpha: 0.9,
            eps,
            momentum: 0.5,
            weight_decay,
            centered: true,
        }),
        adagrad(&Adagrad {
            lr,
            eps,
            weight_decay,
            start: 1.0,
        }),
        lion(&Lion {
            lr,
            beta1: 0.9,
            beta2: 0.99,
            weight_decay,
        }),
    ]
}

/// A step on arrays of which the caller holds one handle each, and their addresses.
fn step(step: &Step, param: &Array, states: &[Array]) -> (Array, Vec<Array>) {
    let grad = wave(param.size(), 1.0);
    let job = Job::new(step, param, &grad, states, 1).unwrap();
    // SAFETY: nobody else has these arrays.
    unsafe { run(step, std::slice::from_ref(&job)) };
    let (param, states) = job.results();
    (param, states.collect())
}

#[test]
fn in_place_or_fresh_gives_the_same_bits() {
    each_isa(1, |_| {
        for (i, rule) in rules().iter().enumerate() {
            let run_with = |shared: bool, n: usize| {
                threads::set_num_threads(n);
                let param = wave(N, 0.0);
                let first = || rule.first_state(&param).unwrap();
                let states: Vec<Array> = (0..rule.states()).map(|_| first()).collect();
                let others = shared.then(|| (param.clone(), states.clone()));
                let (new, new_states) = step(rule, &param, &states);
                let in_place = new.storage().is_same(param.storage());
                assert_eq!(in_place, !shared, "rule {i}");
                if let Some((param, states)) = others {
                    assert_eq!(param.to_f64_vec(), wave(N, 0.0).to_f64_vec(), "rule {i}");
                    for state in &states {
                        assert_eq!(state.to_f64_vec(), first().to_f64_vec(), "rule {i}");
                    }
                }
                let states = new_states.iter().map(Array::to_f64_vec);
                (new.to_f64_vec(), states.collect::<Vec<_>>())
            };
            let expected = run_with(false, 1);
            assert_ne!(expected.0, wave(N, 0.0).to_f64_vec(), "rule {i}");
            for (shared, n) in [(true, 1), (false, 4), (true, 4)] {
                assert_eq!(run_with(shared, n), expected, "rule {i}");
            }
        }
    });
}

#[test]
fn only_memory_of_one_owner_is_written() {
    let owned = || wave(8, 0.0);
    let writes = |param: &Array| {
        let before = param.to_f64_vec();
        let state = wave(8, 2.0);
        let (new, _) = step(&momentum(), param, std::slice::from_ref(&state));
        let same = new.storage().is_same(param.storage());
        assert_eq!(same, param.to_f64_vec() != before);
        assert_ne!(new.to_f64_vec(), before);
        same
    };
    assert!(writes(&owned()), "its own");

    let shared = owned();
    let other = shared.clone();
    assert!(!writes(&shared), "shared");
    drop(other);
    assert!(writes(&shared), "no longer shared");

    let exported = owned();
    let export = exported.storage().export();
    assert!(!writes(&exported), "exported");
    drop(export);
    assert!(!writes(&exported), "once exported");

    let mut memory = vec![0.5_f32; 8];
    // SAFETY: `memory` outlives the array.
    let lent = unsafe {
        let storage = Storage::lent(memory.as_mut_ptr().cast(), 32, false, Box::new(()));
        let dtype = needle_kernels::DType::F32;
        Array::from_parts(storage, 0, [8].as_slice().into(), &[1], dtype)
    };
    assert!(!writes(&lent), "lent");
    assert_eq!(memory, [0.5; 8]);

    let repeated = wave(1, 0.0).broadcast_to(&[8]);
    assert!(!writes(&repeated), "one element eight times");
}

#[test]
fn the_norm_does_not_depend_on_threads_and_does_not_overflow() {
    let arrays = [
        wave(N, 0.0),
        wave(3 * N, 1.0),
        Array::from_slice(&[3_i64, -4], &[2]).unwrap(),
    ];
    let exact = |x: &Array| x.to_f64_vec().iter().map(|v| v * v).sum::<f64>();
    let expected = arrays.iter().map(exact).sum::<f64>().sqrt();
    each_isa(1, |_| {
        threads::set_num_threads(1);
        let alone = norm(&arrays).unwrap();
        assert!((alone - expected).abs() < 1e-12 * expected);
        threads::set_num_threads(4);
        assert_eq!(norm(&arrays).unwrap(), alone);
    });
    let large = Array::from_slice(&[3e30_f32, 4e30], &[2]).unwrap();
    assert!((norm(&[large]).unwrap() / 5e30 - 1.0).abs() < 1e-6);
    assert_eq!(norm(&[]).unwrap(), 0.0);
}
