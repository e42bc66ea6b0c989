//! The configuration, converted to the settings of the cluster.

use std::path::Path;
use std::time::Duration;

use cluster::backoff::BackoffPolicy;
use cluster::event::OnFailure;
use cluster::numbers::{Limits, Millionths};
use cluster::settings::Settings;
use config::Deadline;

/// Reads the configuration.
///
/// # Errors
/// Fails if the configuration is invalid. The error has every problem, with its file, line and column.
pub(crate) fn load() -> Result<Settings, String> {
    config::load(Path::new("/")).map(|settings| valid(&settings)).map_err(|error| error.to_string())
}

fn valid(settings: &config::Settings) -> Settings {
    let rollout = &settings.rollout;
    let millionths = |ratio: config::Ratio| Millionths(ratio.millionths());
    let config::BackoffSettings { burst, window, first, max, stable } = settings.backoff;
    Settings {
        workers: wanted(settings),
        surge: rollout.surge,
        max_unavailable: rollout.max_unavailable,
        settle: rollout.settle,
        limits: Limits {
            max_error_ratio: rollout.max_error_ratio.map(millionths),
            max_latency_ratio: rollout.max_latency_ratio.map(millionths),
            min_requests: rollout.min_requests,
        },
        worker_deadline: span(rollout.worker_deadline),
        deadline: span(rollout.deadline),
        on_failure: match rollout.on_failure {
            config::OnFailure::Rollback => OnFailure::Rollback,
            config::OnFailure::Halt => OnFailure::Halt,
        },
        watch: rollout.watch,
        keep: settings.releases.keep as usize,
        backoff: BackoffPolicy { burst, window, first, max, stable },
    }
}

fn span(deadline: Deadline) -> Option<Duration> {
    match deadline {
        Deadline::Auto => None,
        Deadline::After(span) => Some(span),
    }
}

/// The wanted number of workers.
fn wanted(settings: &config::Settings) -> u32 {
    let most = config::Count::MAX - settings.rollout.surge.min(config::Count::MAX - 1);
    match settings.workers {
        config::Workers::Count(count) => count.get(),
        // This respects the affinity and the CPU quota of this unit.
        config::Workers::Auto => {
            let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
            u32::try_from(cpus).unwrap_or(most).min(most)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(toml: &str) -> Settings {
        valid(&config::parse([(Path::new("app-cluster.toml"), toml)]).unwrap())
    }

    #[test]
    fn every_key_arrives() {
        let settings = of("workers = 3\n\
             [rollout]\nsurge = 2\nmax_unavailable = 1\nsettle = \"3s\"\nmax_error_ratio = 0.05\n\
             min_requests = 7\nworker_deadline = \"90s\"\non_failure = \"halt\"\nwatch = \"5s\"\n\
             [releases]\nkeep = 9\n[backoff]\nburst = 4\n");
        assert_eq!((settings.workers, settings.surge, settings.max_unavailable), (3, 2, 1));
        assert_eq!((settings.settle, settings.watch), (Duration::from_secs(3), Duration::from_secs(5)));
        assert_eq!(settings.limits.max_error_ratio, Some(Millionths(50_000)));
        assert_eq!((settings.limits.max_latency_ratio, settings.limits.min_requests), (None, 7));
        assert_eq!((settings.worker_deadline, settings.deadline), (Some(Duration::from_secs(90)), None));
        assert_eq!((settings.on_failure, settings.keep, settings.backoff.burst), (OnFailure::Halt, 9, 4));
    }
}
