//! Every float32 through the kernels of elementary functions, against float64: `make accuracy`.

use crate::support::each_isa;
use needle_kernels::Array;
use needle_kernels::kernels::elementwise::Map;
use needle_kernels::kernels::{isa, math};
use std::ops::Range;

type Function = (&'static Map, fn(f64) -> f64);

const FUNCTIONS: [Function; 7] = [
    (&math::EXP, f64::exp),
    (&math::LOG, f64::ln),
    (&math::TANH, f64::tanh),
    (&math::SIGMOID, |x| 1.0 / (1.0 + (-x).exp())),
    (&math::SIN, f64::sin),
    (&math::COS, f64::cos),
    (&math::ERF, libm::erf),
];

/// Bit patterns at a time.
const BLOCK: u32 = 1 << 14;
const BLOCKS: u32 = 1 << (32 - 14);

/// Distance in units of the last place of the nearest float32, in thousandths; infinite where
/// one is NaN and the other is not.
fn thousandths(value: f32, reference: f64) -> u64 {
    let near = reference as f32;
    if value == near || (value.is_nan() && near.is_nan()) {
        return 0;
    }
    if !value.is_finite() || !near.is_finite() {
        return u64::MAX;
    }
    let above = f32::from_bits(near.abs().to_bits() + 1);
    let ulp = f64::from(above) - f64::from(near.abs());
    (1000.0 * (f64::from(value) - reference).abs() / ulp).ceil() as u64
}

/// The largest distance in these blocks, and where it is.
fn worst((op, reference): Function, blocks: Range<u32>) -> (u64, f32) {
    let mut worst = (0, 0.0);
    for block in blocks {
        let bits = block * BLOCK..=block * BLOCK + (BLOCK - 1);
        let x: Vec<f32> = bits.map(f32::from_bits).collect();
        let y = op.of(&Array::from_slice(&x, &[x.len()]).unwrap()).unwrap();
        for (&x, y) in x.iter().zip(y.to_vec::<f32>()) {
            let off = thousandths(y, reference(f64::from(x)));
            if off > worst.0 {
                worst = (off, x);
            }
        }
    }
    worst
}

#[test]
#[ignore = "every float32 through seven functions: half an hour (make accuracy)"]
fn every_float32_is_within_two_ulp() {
    each_isa(1, |_| {
        for function in FUNCTIONS {
            let (low, high) = std::thread::scope(|scope| {
                let low = scope.spawn(|| worst(function, 0..BLOCKS / 2));
                let high = worst(function, BLOCKS / 2..BLOCKS);
                (low.join().unwrap(), high)
            });
            let (off, at) = if low.0 > high.0 { low } else { high };
            let ulp = off as f64 / 1000.0;
            println!(
                "{:?} {:?}: {ulp:.3} ulp at {at:e}",
                isa::active(),
                function.0
            );
            assert!(off <= 2000, "{:?}({at:e}) is off by {ulp} ulp", function.0);
        }
    });
}
