//! Every op of the table: its derivatives against finite differences, and its description.

mod common;

use common::{eagerly, lazily};
use needle_core::ops::{self, Inputs, OpDef, ParamKind};
use needle_core::testing::{gradient_check, sample_arrays};
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
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
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
            let coarse = one.len() < 4 || sample.inputs.iter().any(|i| !i.1.dtype().is_float());
            assert!(
                coarse || one != values(other),
                "{name}: the seed does nothing"
            );
        }
    }
}
