//! Every op of the table: its derivatives against finite differences, and its description.

mod common;

use common::{eagerly, lazily};
use needle_core::kernels::elementwise::{self, Unary};
use needle_core::ops::{
    self, Attrs, Derivative, Domain, Inputs, Needs, OpDef, ParamKind, Run, Sample, Tangent,
};
use needle_core::shape::TensorType;
use needle_core::testing::{check_function, gradient_check, sample_arrays};
use std::collections::HashSet;

fn failures() -> Vec<String> {
    let mut failures = Vec::new();
    for op in ops::ALL {
        for (i, sample) in op.samples.iter().enumerate() {
            if let Err(error) = gradient_check(op, sample) {
                failures.push(format!("{} (sample {i}): {error}", op.name));
            }
        }
    }
    failures
}

#[test]
fn derivatives_agree_with_differences() {
    let failures = eagerly(failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn derivatives_agree_with_differences_when_lazy() {
    let failures = lazily(failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_op_is_described() {
    let mut names = HashSet::new();
    for op in ops::ALL {
        let name = op.name;
        assert!(names.insert(name), "two ops are called {name}");
        assert!(names.insert(op.class), "two ops are called {}", op.class);
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "{name}"
        );
        assert!(
            op.class.starts_with(|c: char| c.is_ascii_uppercase()),
            "{name}: {}",
            op.class
        );
        for text in [op.name, op.class] {
            assert!(
                OpDef::by_name(text).is_some_and(|found| std::ptr::eq(found, *op)),
                "{text}"
            );
        }

        // The first line is a sentence; a blank line stands before the rest.
        let mut lines = op.doc.lines();
        let first = lines.next().unwrap_or_default();
        assert!(
            first.ends_with('.') && first.len() > 10,
            "{name}: first line of doc: {first}"
        );
        assert!(
            lines.next().is_none_or(str::is_empty),
            "{name}: no blank line after the first"
        );
        assert!(
            op.doc.ends_with('.') && !op.doc.contains("  "),
            "{name}: doc"
        );

        let params: HashSet<_> = op.params.iter().map(|param| param.name).collect();
        assert_eq!(
            params.len(),
            op.params.len(),
            "{name}: a parameter is named twice"
        );
        for param in op.params {
            assert_eq!(
                param.default.is_some(),
                param.default_attr().is_some(),
                "{name}"
            );
            let flag = param.kind == ParamKind::Bool;
            assert!(
                !flag || param.default.is_some(),
                "{name}: a flag has a default"
            );
        }
    }
    assert!(OpDef::by_name("no_such_op").is_none());
}

#[test]
fn every_op_has_samples_that_fit() {
    for op in ops::ALL {
        let name = op.name;
        // Its input is a tuple, which is no array: ops with several outputs check it.
        assert_eq!(
            op.samples.is_empty(),
            name == "tuple_get_item",
            "{name}: samples"
        );
        for sample in op.samples {
            assert_eq!(
                (sample.attrs)().all().len(),
                op.params.len(),
                "{name}: attributes"
            );
            match op.inputs {
                Inputs::Named(inputs) => assert_eq!(sample.inputs.len(), inputs.len(), "{name}"),
                Inputs::Many(_) => assert!(!sample.inputs.is_empty(), "{name}"),
            }
            let (one, same, other) = (
                sample_arrays(sample, 1),
                sample_arrays(sample, 1),
                sample_arrays(sample, 2),
            );
            let values = |arrays: needle_core::Result<Vec<needle_core::Array>>| -> Vec<_> {
                arrays
                    .unwrap()
                    .iter()
                    .flat_map(needle_core::Array::to_f64_vec)
                    .collect()
            };
            let one = values(one);
            assert_eq!(one, values(same), "{name}: samples do not repeat");
            let coarse = one.len() < 4 || sample.inputs.iter().any(|i| i.1 == Domain::Bool);
            assert!(
                coarse || one != values(other),
                "{name}: the seed does nothing"
            );
        }
    }
}

/// `sin` with the given derivative.
const fn sine(name: &'static str, derivative: Derivative) -> OpDef {
    OpDef {
        name,
        class: "Sine",
        doc: "A sine for this test.",
        inputs: Inputs::Named(&["a"]),
        params: &[],
        run: Run::One {
            infer: |_: &Attrs, t| Ok(TensorType::new(t[0].shape, t[0].dtype)),
            forward: |_, x, _| elementwise::unary(Unary::Sin, x[0]),
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
        forward: |_, x, _| elementwise::unary(Unary::Cos, x[0]),
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
