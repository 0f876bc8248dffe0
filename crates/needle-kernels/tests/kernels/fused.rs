//! Runs of elementwise functions: what each function gives on its own, to the last bit.

use crate::support::{Random, each_isa};
use needle_kernels::dtype::{DType, Scalar};
use needle_kernels::kernels::elementwise::fused::{Fused, MOST, Place};
use needle_kernels::kernels::elementwise::{self, Function};
use needle_kernels::kernels::math;
use needle_kernels::{Array, shape};

fn function(random: &mut Random) -> Function {
    match random.below(8) {
        0 => Function::Map(&math::TANH),
        1 => Function::Map(&math::COS),
        2 => Function::Zip(&math::SIGMOID_SLOPE),
        3 => Function::With(&elementwise::MULTIPLY, Scalar::Float(-1.5)),
        4 => {
            let exponents = [0.0, 0.5, 1.0, 2.0, 3.0, -1.0, -0.5];
            Function::With(&math::POWER, Scalar::Float(exponents[random.below(7)]))
        }
        5 => Function::Zip(&elementwise::CHAIN),
        6 => Function::Zip(&elementwise::DIVIDE),
        _ => Function::Zip(&elementwise::ADD),
    }
}

fn same(a: &Array, b: &Array) -> bool {
    let bits = |array: &Array| -> Vec<u64> {
        let numbers = array.to_f64_vec().into_iter();
        numbers
            .map(|v| if v.is_nan() { 1 } else { v.to_bits() })
            .collect()
    };
    a.shape() == b.shape() && a.dtype() == b.dtype() && bits(a) == bits(b)
}

#[test]
fn a_run_gives_what_its_functions_give_one_by_one() {
    each_isa(60, |random| {
        for dtype in [DType::F32, DType::F64] {
            let mut run = Fused::new(dtype).unwrap();
            let mut inputs = Vec::new();
            let mut known: Vec<(Place, Array)> = Vec::new();
            let largest = random.shape(3);
            for _ in 0..=random.below(3) {
                let own = random.narrower(&largest);
                let array = random.array(dtype, &own, true);
                known.push((run.input(&own), array.clone()));
                inputs.push(array);
            }
            let given = known.len();
            for _ in 0..20 {
                let function = function(random);
                let one = matches!(function, Function::Map(_) | Function::With(..));
                let operands: Vec<usize> = (0..if one { 1 } else { 2 })
                    .map(|_| random.below(known.len()))
                    .collect();
                let arrays: Vec<&Array> = operands.iter().map(|&i| &known[i].1).collect();
                let places: Vec<&Place> = operands.iter().map(|&i| &known[i].0).collect();
                let shape = arrays
                    .iter()
                    .skip(1)
                    .fold(arrays[0].shape().to_vec(), |own, array| {
                        shape::broadcast("test", &own, array.shape())
                            .unwrap()
                            .to_vec()
                    });
                let Some(place) = run.push(function, &places, &shape) else {
                    // Operands that take turns in broadcasting need more than two loops.
                    assert!(shape.len() > 2 || shape.iter().product::<usize>() > MOST);
                    continue;
                };
                let expected = function.run(&arrays, dtype).unwrap();
                known.push((place, expected));
                if known.len() > given + 1 && random.chance(40) {
                    let (gone, _) = known.remove(given + random.below(known.len() - given));
                    run.free(&gone);
                    run.free(&gone);
                }
            }
            for (place, _) in &known {
                run.output(place.clone());
            }
            // The second time, memory holds what the first has left.
            for _ in 0..2 {
                let found = run.run(&inputs.iter().collect::<Vec<_>>()).unwrap();
                assert_eq!(found.len(), known.len());
                for (found, (_, expected)) in found.iter().zip(&known) {
                    assert!(same(found, expected));
                }
            }
        }
    });
}

#[test]
fn a_run_takes_only_what_it_was_made_for() {
    let mut run = Fused::new(DType::F64).unwrap();
    let place = run.input(&[2]);
    let negate = Function::Map(&elementwise::NEGATE);
    assert!(run.push(negate, &[&place], &[3]).is_none(), "no broadcast");
    assert!(
        run.push(negate, &[&place], &[]).is_none(),
        "fewer dimensions"
    );
    assert!(
        run.push(negate, &[&place, &place], &[2]).is_none(),
        "two operands"
    );
    let other = Fused::new(DType::F64).unwrap().input(&[5]);
    assert!(run.push(negate, &[&other], &[5]).is_none(), "another run's");
    let result = run.push(negate, &[&place], &[3, 2]).unwrap();
    run.output(result);
    let fits = Array::from_slice(&[1.0, 2.0], &[2]).unwrap();
    let found = run.run(&[&fits]).unwrap().remove(0);
    assert_eq!(found.to_f64_vec(), [-1.0, -2.0, -1.0, -2.0, -1.0, -2.0]);
    let long = Array::from_slice(&[1.0, 2.0, 3.0], &[3]).unwrap();
    let single = Array::from_slice(&[1.0_f32, 2.0], &[2]).unwrap();
    assert!(run.run(&[&long]).is_err());
    assert!(run.run(&[&single]).is_err());
    assert!(run.run(&[]).is_err());
    assert!(Fused::new(DType::I64).is_none());
}
