//! Random programs on the graph and on a naive engine: values and gradients of any order
//! agree, whatever is dropped, replaced, read late or computed lazily in between.

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod machine;
mod native;
mod reference;
mod rules;
mod sweep;

use common::without_leak;
use compare::{Outcome, Tally};
use machine::{Action, Machine};
use needle_core::graph::{Mode, replace_mode};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use reference::Op;

const OPS: &[Op] = &[
    Op::Add,
    Op::Subtract,
    Op::Multiply,
    Op::Divide,
    Op::Negate,
    Op::Sin,
    Op::Cos,
    Op::Exp,
    Op::Tanh,
    Op::Sigmoid,
    Op::Relu,
    Op::Abs,
    Op::Maximum,
    Op::Minimum,
    Op::Choose,
    Op::Sum,
    Op::Mean,
    Op::Spread,
    Op::Scale,
];

/// Quarters: sums and products of a few of them are exact, and ties are common.
fn quarters() -> impl Strategy<Value = [i8; 4]> {
    prop::array::uniform4(-8_i8..=8)
}

fn action() -> impl Strategy<Value = Action> {
    let any_place = || 0_usize..24;
    let leaf =
        (any::<bool>(), any::<bool>(), quarters()).prop_map(|(scalar, requires_grad, values)| {
            Action::Leaf {
                scalar,
                requires_grad,
                values,
            }
        });
    let operands = prop::array::uniform3(any_place());
    let apply = (
        prop::sample::select(OPS),
        operands,
        prop::bool::weighted(0.1),
    )
        .prop_map(|(op, operands, no_grad)| Action::Apply {
            op,
            operands,
            no_grad,
        });
    let backward = (any_place(), any_place(), any::<bool>())
        .prop_map(|(root, keep, read)| Action::Backward { root, keep, read });
    prop_oneof![
        3 => leaf,
        12 => apply,
        3 => any_place().prop_map(Action::Drop),
        4 => backward,
        3 => (any_place(), quarters()).prop_map(|(at, values)| Action::Set { at, values }),
        1 => any::<bool>().prop_map(Action::Lazy),
        1 => any_place().prop_map(Action::Read),
    ]
}

/// Runs a program, and checks that it leaves nothing behind.
fn run(actions: &[Action], tally: &Tally) -> Outcome {
    let before = replace_mode(Mode::default());
    let mut result = Ok(());
    without_leak(|| {
        let mut machine = Machine::default();
        result = actions.iter().try_for_each(|action| machine.run(action));
        if result.is_ok() {
            result = machine.read_all();
        }
        tally.add(&machine.tally);
    });
    replace_mode(before);
    result
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn both_engines_agree(actions in prop::collection::vec(action(), 1..80)) {
        run(&actions, &Tally::default())?;
    }
}

/// The same programs each time; and they must get to what this is about.
#[test]
fn fixed_programs_compare_a_lot() {
    let tally = Tally::default();
    let config = ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let programs = prop::collection::vec(action(), 1..80);
    let result = TestRunner::new_with_rng(config, rng).run(&programs, |p| run(&p, &tally));
    assert!(result.is_ok(), "{result:?}");
    assert!(tally.is_rich(), "{tally:?}");
}
