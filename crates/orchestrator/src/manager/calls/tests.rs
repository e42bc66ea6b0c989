use super::*;

fn reading() -> Reading {
    Reading { names: Names::packaged(), listeners: Listeners::default() }
}

fn one() -> Instance {
    Instance::new(1).unwrap()
}

/// What follows from a reply with this body to this call.
fn answer(call: Call, body: &(impl serde::Serialize + zbus::DynamicType)) -> Then {
    let mut reading = reading();
    let question = Question::Of(call);
    let asked = reading.message(&question).unwrap();
    let reply = Message::method_return(&asked.header()).build(body).unwrap();
    reading.read(&question, &reply)
}

fn error(call: Call, name: &str) -> Answer {
    let mut reading = reading();
    let question = Question::Of(call);
    let asked = reading.message(&question).unwrap();
    let reply = Message::error(&asked.header(), name).build(&"it says why").unwrap();
    match reading.read(&question, &reply) {
        Then::Answer(answer) => answer,
        Then::Ask(question) => panic!("{question:?}"),
    }
}

fn path(path: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(path.to_owned()).unwrap()
}

#[test]
fn a_job_is_known_by_its_number() {
    let enqueued = answer(Call::Restart(one()), &path("/org/freedesktop/systemd1/job/123"));
    assert!(matches!(enqueued, Then::Answer(Answer::Enqueued(Ok(JobId(123))))), "{enqueued:?}");
    let nonsense = answer(Call::Stop(one()), &path("/else"));
    assert!(matches!(nonsense, Then::Answer(Answer::Enqueued(Err(EnqueueError::Unanswered(_))))));
}

#[test]
fn a_refusal_is_told_from_silence_by_the_name_of_the_error() {
    for (name, is_refused) in [
        ("org.freedesktop.systemd1.UnitMasked", true),
        ("org.freedesktop.DBus.Error.AccessDenied", true),
        ("org.freedesktop.DBus.Error.NoReply", false),
        ("org.freedesktop.DBus.Error.NameHasNoOwner", false),
    ] {
        let Answer::Enqueued(Err(error)) = error(Call::Restart(one()), name) else { panic!("{name}") };
        match error {
            EnqueueError::Refused(why) => assert!(is_refused && why == "it says why", "{name}: {why}"),
            EnqueueError::Unanswered(_) => assert!(!is_refused, "{name}"),
        }
    }
}

#[test]
fn a_subscription_that_is_there_is_as_good() {
    assert!(matches!(error(Call::Subscribe, super::super::ALREADY_SUBSCRIBED), Answer::Done(Ok(()))));
    let Answer::Done(Err(why)) = error(Call::Subscribe, "org.freedesktop.DBus.Error.AccessDenied") else {
        panic!("it is refused");
    };
    assert_eq!(why, "failed to subscribe to systemd's signals: it says why");
}

#[test]
fn what_only_looks_like_a_worker_is_listed_if_it_is_active() {
    let row = |name: &str, active: &str| -> ListedUnit {
        let word = |word: &str| word.to_owned();
        let (root, none) = (path("/"), word(""));
        (
            word(name),
            none.clone(),
            word("loaded"),
            word(active),
            none.clone(),
            none.clone(),
            root.clone(),
            0,
            none,
            root,
        )
    };
    let units = vec![
        row("worker@2.service", "inactive"),
        row("worker@03.service", "active"),
        row("worker@a.service", "failed"),
    ];
    let Then::Answer(Answer::Listed(Ok((workers, others)))) = answer(Call::List, &units) else {
        panic!("they are not listed");
    };
    assert_eq!(workers, [Instance::new(2).unwrap()]);
    assert_eq!(others, ["worker@03.service"]);
}

#[test]
fn whose_job_it_is_takes_two_questions() {
    let told = |id: u32, job: &str| {
        let job: zbus::Variant<'_> = (id, path(job).into_inner()).into();
        answer(Call::OwnJob, &std::collections::HashMap::from([("Job", job)]))
    };
    assert!(matches!(told(0, "/"), Then::Answer(Answer::OwnJob(Ok(OwnJob::None)))));
    let Then::Ask(question) = told(5, "/org/freedesktop/systemd1/job/5") else { panic!("it is answered") };
    let mut reading = reading();
    let asked = reading.message(&question).unwrap();
    for (word, kind) in [("stop", OwnJob::Stop), ("restart", OwnJob::Other)] {
        let word: zbus::Variant<'_> = word.into();
        let body = std::collections::HashMap::from([("JobType", word)]);
        let reply = Message::method_return(&asked.header()).build(&body).unwrap();
        let told = reading.read(&question, &reply);
        assert!(matches!(told, Then::Answer(Answer::OwnJob(Ok(told))) if told == kind));
    }
}

#[test]
fn what_is_not_told_is_named() {
    let nothing = std::collections::HashMap::<&str, zbus::Variant<'_>>::new();
    let Then::Answer(Answer::Socket(Err(why))) = answer(Call::Socket, &nothing) else {
        panic!("it is told");
    };
    assert_eq!(why, "failed to read the state of app-cluster.socket: systemd did not report `ActiveState`");
}
