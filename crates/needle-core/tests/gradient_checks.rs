//! The gradient checks themselves: they find what is wrong, and only that.

mod common;

use needle_core::kernels::math;
use needle_core::ops::{Attrs, Derivative, Domain, Inputs, Needs, OpDef, Run, Sample, Tangent};
use needle_core::shape::TensorType;
use needle_core::testing::{check_function, gradient_check};

/// `sin` with the given derivative.
const fn sine(name: &'static str, derivative: Derivative) -> OpDef {
    OpDef {
        name,
        class: "Sine",
        numpy: &[],
        doc: "A sine for this test.",
        inputs: Inputs::Named(&["a"]),
        params: &[],
        run: Run::One {
            infer: |_: &Attrs, t| Ok(TensorType::new(t[0].shape, t[0].dtype)),
            forward: |_, x, _| math::SIN.of(x[0]),
        },
        derivative,
        samples: SINE_SAMPLES,
    }
}

const SINE_SAMPLES: &[Sample] = &[Sample::plain(&[(&[2, 3], Domain::Real)])];

static RIGHT: OpDef = sine(
    "right",
    Derivative::Rule {
        needs: Needs::X0,
        vjp: |s, g, _| Some(g[0]?.chain(s.x(0).cos())),
        jvp: Tangent::Rule(|s, t| Some(t[0]?.chain(s.x(0).cos()))),
    },
);
static WRONG_REVERSE: OpDef = sine(
    "wrong",
    Derivative::Rule {
        needs: Needs::X0,
        vjp: |s, g, _| Some(g[0]?.chain(s.x(0).sin())),
        jvp: Tangent::Rule(|s, t| Some(t[0]?.chain(s.x(0).cos()))),
    },
);
static WRONG_FORWARD: OpDef = sine(
    "wrong",
    Derivative::Rule {
        needs: Needs::X0,
        vjp: |s, g, _| Some(g[0]?.chain(s.x(0).cos())),
        jvp: Tangent::Linear,
    },
);
static NOT_AT_ALL: OpDef = sine("wrong", Derivative::None);
/// The derivative of its derivative is wrong: the cosine comes from an op that says so.
static WRONG_SECOND: OpDef = sine(
    "wrong",
    Derivative::Rule {
        needs: Needs::X0,
        vjp: |s, g, _| Some(g[0]?.chain(s.x(0).apply(&FLAT_COSINE, Attrs::none()))),
        jvp: Tangent::Rule(|s, t| Some(t[0]?.chain(s.x(0).cos()))),
    },
);
static FLAT_COSINE: OpDef = OpDef {
    run: Run::One {
        infer: |_: &Attrs, t| Ok(TensorType::new(t[0].shape, t[0].dtype)),
        forward: |_, x, _| math::COS.of(x[0]),
    },
    ..sine("flat_cosine", Derivative::None)
};
static WRONG_SHAPE: OpDef = sine(
    "wrong",
    Derivative::Rule {
        needs: Needs::X0,
        vjp: |s, g, _| Some(g[0]?.chain(s.x(0).cos())),
        jvp: Tangent::Rule(|s, t| Some(t[0]?.chain(s.x(0).cos()).sum(&[0], true))),
    },
);

#[test]
fn the_check_can_fail() {
    assert!(gradient_check(&RIGHT, &RIGHT.samples[0]).is_ok());
    let text = |op: &'static OpDef| gradient_check(op, &op.samples[0]).unwrap_err().to_string();
    assert!(text(&WRONG_REVERSE).contains("wrong: reverse mode gives"));
    assert!(text(&WRONG_FORWARD).contains("wrong: forward mode gives"));
    assert!(text(&NOT_AT_ALL).contains("wrong: reverse mode gives the slope 0"));
    assert!(text(&WRONG_SECOND).contains("wrong: reverse mode over reverse mode gives"));
    assert!(text(&WRONG_SHAPE).contains("wrong: a tangent is"));
}

#[test]
fn functions_are_checked_too() {
    let x = [
        common::array(&[0.3, -0.7], &[2]),
        common::array(&[1.5], &[1]),
    ];
    let smooth = |x: &[common::Tensor]| Ok(vec![common::mul(&common::exp(&x[0]), &x[1])]);
    check_function("smooth", &smooth, &x).unwrap();
    // What a detached part contributes is missing from the gradient.
    let cut = |x: &[common::Tensor]| Ok(vec![common::mul(&common::exp(&x[0]).detach()?, &x[1])]);
    assert!(check_function("cut", &cut, &x).is_err());
}
