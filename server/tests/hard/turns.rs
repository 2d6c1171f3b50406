//! Input steps may hold a decoded image each: however many requests come at once, they take turns.

use crate::support::Serving;
use millrace_server::{
    engine::fake::Gate,
    error::Kind,
    pipeline::{Pipeline, Prepared, Value},
    process,
};
use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_steps_take_turns() {
    let serving = Serving::start("", 1, Gate::default()).await;
    let replica = &serving.replica;
    let places = replica.preparing.available_permits();
    let (begun, door) = (Arc::new(AtomicUsize::new(0)), Arc::new((Mutex::new(false), Condvar::new())));
    let begin = |time: Duration| {
        let (replica, begun, door) = (Arc::clone(replica), Arc::clone(&begun), Arc::clone(&door));
        tokio::spawn(async move {
            let permit = replica.door.admit()?;
            let prepare = move |_: &Pipeline| {
                begun.fetch_add(1, SeqCst);
                let open = door.0.lock().unwrap();
                let _open = door.1.wait_while(open, |open| !*open).unwrap();
                Ok(Prepared::Answer(Value::Vector(Vec::new())))
            };
            process::process_by(&replica, prepare, Instant::now() + time, permit).await.map(drop)
        })
    };
    let first: Vec<_> = (0..places).map(|_| begin(MINUTE)).collect();
    serving.until(|| begun.load(SeqCst) == places).await;
    let late = begin(Duration::from_millis(20)).await.unwrap().unwrap_err();
    assert_eq!(late.kind, Kind::Deadline, "its time was over before its turn came");
    let next = begin(MINUTE);
    serving.until(|| replica.door.in_flight() == places as u64 + 1).await;
    assert_eq!(begun.load(SeqCst), places);
    *door.0.lock().unwrap() = true;
    door.1.notify_all();
    for task in first.into_iter().chain([next]) {
        task.await.unwrap().unwrap();
    }
    assert_eq!(begun.load(SeqCst), places + 1);
}
