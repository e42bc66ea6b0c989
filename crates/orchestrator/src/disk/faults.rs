//! Simulates power cuts and full disks at any step that [`super`] takes.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ends, and no code of it runs any more.
    PowerCut,
    /// Only this step fails. Later steps succeed.
    DiskFull,
}

/// The result of an operation with a fault.
#[derive(Debug)]
pub(crate) struct Trial<T> {
    /// What the operation returned. `None` if a power cut ended it.
    pub(crate) returned: Option<T>,
    /// Whether the fault happened: the operation had that many steps.
    pub(crate) struck: bool,
}

struct Plan {
    /// The step at which the fault happens. `None` only records the steps.
    fault: Option<(usize, Fault)>,
    taken: Vec<String>,
}

/// The panic payload that unwinds the stack at a power cut.
struct PowerIsCut;

thread_local! {
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

/// The steps that an operation takes, each as `verb name`.
pub(crate) fn steps_of<T>(operation: impl FnOnce() -> T) -> Vec<String> {
    run(None, operation).1.taken
}

/// Runs the operation once for each of its steps, with the fault at that step. Each run starts with what
/// `prepare` makes, and `check` examines what is left.
pub(crate) fn at_every_step<S, T>(
    fault: Fault,
    prepare: impl Fn() -> S,
    operation: impl Fn(&mut S) -> T,
    check: impl Fn(&mut S, Trial<T>),
) {
    for number in 1.. {
        let mut stage = prepare();
        let (returned, plan) = run(Some((number, fault)), || operation(&mut stage));
        let struck = plan.taken.len() >= number;
        check(&mut stage, Trial { returned, struck });
        if !struck {
            assert!(number > 2, "a durable change takes two steps: does the operation use the disk module?");
            return;
        }
    }
}

fn run<T>(fault: Option<(usize, Fault)>, operation: impl FnOnce() -> T) -> (Option<T>, Plan) {
    PLAN.set(Some(Plan { fault, taken: Vec::new() }));
    let returned = match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(returned) => Some(returned),
        Err(cause) if cause.is::<PowerIsCut>() => None,
        Err(failed_assertion) => resume_unwind(failed_assertion),
    };
    (returned, PLAN.take().unwrap())
}

pub(super) fn step(what: &str, path: &Path) -> io::Result<()> {
    let fault = PLAN.with_borrow_mut(|plan| {
        let plan = plan.as_mut()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        plan.taken.push(format!("{what} {name}"));
        plan.fault.filter(|(number, _)| *number == plan.taken.len()).map(|(_, fault)| fault)
    });
    match fault {
        None => Ok(()),
        Some(Fault::DiskFull) => Err(io::ErrorKind::StorageFull.into()),
        Some(Fault::PowerCut) => resume_unwind(Box::new(PowerIsCut)),
    }
}
