//! rust_std - the Rust library's threads: Mutex, Condvar, RwLock, mpsc,
//! Barrier, park, scope, Once, thread names, thread_local with destructors,
//! panics, sleeping.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex, Once, RwLock};
use std::thread;
use std::time::{Duration, Instant};

const N: usize = 30;

fn mutexes() {
    let m = Arc::new((Mutex::new(0usize), Condvar::new()));
    let t: Vec<_> = (0..N)
        .map(|_| {
            let m = m.clone();
            thread::spawn(move || {
                for _ in 0..200 {
                    *m.0.lock().unwrap() += 1;
                    thread::yield_now();
                }
                m.1.notify_all();
            })
        })
        .collect();
    let mut n = m.0.lock().unwrap();
    while *n < N * 200 {
        n = m.1.wait(n).unwrap();
    }
    let (n, timeout) = m.1.wait_timeout(n, Duration::from_millis(3)).unwrap();
    // A wake-up without reason is allowed, a wrong count is not.
    let _ = timeout;
    assert_eq!(*n, N * 200);
    drop(n);
    for t in t {
        t.join().unwrap();
    }
    let guard = m.0.lock().unwrap();
    thread::scope(|s| {
        s.spawn(|| assert!(m.0.try_lock().is_err()));
    });
    drop(guard);
    assert!(m.0.try_lock().is_ok());
}

fn rwlocks() {
    let rw = RwLock::new((0usize, 0usize));
    thread::scope(|s| {
        for i in 0..N {
            let rw = &rw;
            s.spawn(move || {
                for k in 0..100 {
                    if (i + k) % 4 == 0 {
                        let mut v = rw.write().unwrap();
                        v.0 += 1;
                        thread::yield_now();
                        v.1 += 1;
                    } else {
                        let v = rw.read().unwrap();
                        assert_eq!(v.0, v.1);
                    }
                }
            });
        }
    });
    assert_eq!(rw.read().unwrap().0, N * 100 / 4);
}

fn channels() {
    let (tx, rx) = mpsc::sync_channel::<usize>(4);
    let t: Vec<_> = (0..8)
        .map(|_| {
            let tx = tx.clone();
            thread::spawn(move || {
                for i in 0..500 {
                    tx.send(i).unwrap();
                }
            })
        })
        .collect();
    drop(tx);
    assert_eq!(rx.iter().sum::<usize>(), 8 * 499 * 500 / 2);
    for t in t {
        t.join().unwrap();
    }
    assert!(rx.recv().is_err());
    let (tx, rx) = mpsc::channel::<()>();
    assert_eq!(
        rx.recv_timeout(Duration::from_millis(2)),
        Err(mpsc::RecvTimeoutError::Timeout)
    );
    drop(tx);
    assert_eq!(
        rx.recv_timeout(Duration::from_secs(600)),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
    // No room at all: each send meets its receive.
    let (tx, rx) = mpsc::sync_channel::<usize>(0);
    let t = thread::spawn(move || (0..100).for_each(|i| tx.send(i).unwrap()));
    assert_eq!(rx.iter().sum::<usize>(), 99 * 100 / 2);
    t.join().unwrap();
}

fn barriers_and_parking() {
    let b = Barrier::new(N);
    let leaders = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..N {
            s.spawn(|| {
                for _ in 0..10 {
                    if b.wait().is_leader() {
                        leaders.fetch_add(1, SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(leaders.load(SeqCst), 10);

    let flag = Arc::new(AtomicUsize::new(0));
    let t: Vec<_> = (0..N)
        .map(|_| {
            let flag = flag.clone();
            thread::spawn(move || {
                while flag.load(SeqCst) == 0 {
                    thread::park();
                }
                // Nobody wakes it now but the time.
                let until = Instant::now() + Duration::from_millis(2);
                while Instant::now() < until {
                    thread::park_timeout(Duration::from_millis(1));
                }
            })
        })
        .collect();
    flag.store(1, SeqCst);
    for t in t {
        t.thread().unpark();
        t.join().unwrap();
    }
    // Unparked before it parks: the token is kept.
    let t = thread::spawn(|| {
        thread::current().unpark();
        thread::park();
        7
    });
    assert_eq!(t.join().unwrap(), 7);
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);
struct Noisy(usize);
impl Drop for Noisy {
    fn drop(&mut self) {
        thread::yield_now();
        DROPPED.fetch_add(self.0, SeqCst);
    }
}
thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(5) };
    static NOISY: RefCell<Vec<Noisy>> = const { RefCell::new(Vec::new()) };
}

fn locals_and_names() {
    let t: Vec<_> = (0..N)
        .map(|i| {
            thread::Builder::new()
                .name(format!("thread-{i}"))
                .stack_size(256 << 10)
                .spawn(move || {
                    assert_eq!(COUNT.with(|c| c.get()), 5);
                    COUNT.with(|c| c.set(i));
                    NOISY.with(|v| v.borrow_mut().push(Noisy(i + 1)));
                    thread::yield_now();
                    thread::sleep(Duration::from_micros(100));
                    assert_eq!(COUNT.with(|c| c.get()), i);
                    let name = thread::current().name().unwrap().to_owned();
                    assert_eq!(name, format!("thread-{i}"));
                })
                .unwrap()
        })
        .collect();
    for t in t {
        t.join().unwrap();
    }
    assert_eq!(DROPPED.load(SeqCst), N * (N + 1) / 2);
    assert_eq!(COUNT.with(|c| c.get()), 5);
}

fn once_and_panics() {
    static ONCE: Once = Once::new();
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..N {
            s.spawn(|| {
                ONCE.call_once(|| {
                    thread::sleep(Duration::from_millis(1));
                    RUNS.fetch_add(1, SeqCst);
                });
                assert_eq!(RUNS.load(SeqCst), 1);
            });
        }
    });
    // The message of a panic goes to stderr; here it is expected.
    std::panic::set_hook(Box::new(|_| {}));
    let m = Arc::new(Mutex::new(0));
    let t: Vec<_> = (0..N)
        .map(|i| {
            let m = m.clone();
            thread::spawn(move || {
                let _g = m.lock();
                thread::yield_now();
                if i == 3 {
                    panic!("on purpose");
                }
                i
            })
        })
        .collect();
    let failed = t.into_iter().map(|t| t.join()).filter(|r| r.is_err());
    assert_eq!(failed.count(), 1);
    assert!(m.is_poisoned());
    let _ = std::panic::take_hook();
}

fn main() {
    for (name, part) in [
        ("mutexes", mutexes as fn()),
        ("rwlocks", rwlocks),
        ("channels", channels),
        ("barriers and parking", barriers_and_parking),
        ("locals and names", locals_and_names),
        ("once and panics", once_and_panics),
    ] {
        println!("{name}");
        // A panic's status would be 101.
        if thread::spawn(part).join().is_err() {
            std::process::exit(1);
        }
    }
}
