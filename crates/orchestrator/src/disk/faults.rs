//! Power cuts and full disks, at any of the steps that [`super`] takes.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is gone: no code of it runs any more.
    PowerCut,
    /// This one step fails, those after it do not.
    DiskFull,
}

/// How an operation with a fault in it went.
#[derive(Debug)]
pub(crate) struct Trial<T> {
    /// What the operation returned, if it came to that.
    pub(crate) returned: Option<T>,
    /// Whether there was such a step.
    pub(crate) struck: bool,
}

struct Plan {
    /// None: no fault, only the record of steps.
    fault: Option<(usize, Fault)>,
    taken: Vec<String>,
}

/// What unwinds the stack when the power is cut.
struct PowerIsCut;

thread_local! {
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

/// The steps that an operation takes, as `verb name`.
pub(crate) fn steps_of<T>(operation: impl FnOnce() -> T) -> Vec<String> {
    run(None, operation).1.taken
}

/// Lets the fault strike at the first step, in another run at the second, and so on to the end, each time on what
/// `prepare` makes; `check` gets to see what is left.
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
            assert!(number > 2, "whatever is durable takes two steps: is it done by the disk module?");
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
