//! Bytes that training really takes, counted by the allocator and by the tensors, beside what the plan says.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]
#![allow(
    unsafe_code,
    reason = "an allocator that counts is unsafe by its trait; it only hands on to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use covey::config::layers::{Layers, Purpose};
use covey::config::schema::Config;
use covey::training::learner::Learner;
use covey::training::plan::{MemoryPlan, Needs};
use covey_model::config::{ModelConfig, preset};
use covey_model::init::Initializer;

/// The system's allocator, counting bytes in use and the most there were.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn count(taken: usize) {
    MOST.fetch_max(IN_USE.fetch_add(taken, SeqCst) + taken, SeqCst);
}

// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), SeqCst);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Threads of the steps: on many more than cores, not all would ever hold scratch at once.
const THREADS: usize = 2;
const LENGTH: usize = 64;
const WINDOWS: usize = 8;

fn network(hidden_size: usize, intermediate_size: usize, num_layers: usize) -> ModelConfig {
    let tiny = preset("tiny").unwrap();
    let heads = hidden_size / 32;
    let model = ModelConfig {
        hidden_size,
        intermediate_size,
        num_layers,
        num_heads: heads,
        num_kv_heads: heads / 2,
        vocab_size: 8192,
        tied: false,
        ..tiny
    };
    model.checked().unwrap()
}

fn config(device: &str, recompute: &str) -> Config {
    let settings = [
        ("run.device", device),
        ("memory.recompute", recompute),
        ("train.batch_size", "8"),
        ("data.sequence_length", "64"),
        ("schedule.warmup_steps", "0"),
    ];
    let layers = settings
        .into_iter()
        .fold(Layers::new(), |layers, (key, value)| layers.flag("test", key, value));
    layers.resolve(Purpose::Show).unwrap().config
}

fn learner(model: &ModelConfig, config: &Config) -> Learner {
    let initializer = Initializer::new(1, model);
    let fill = |spec: &covey_model::config::ParameterSpec, range: std::ops::Range<usize>| {
        let mut numbers = vec![0.0; range.len()];
        initializer.fill(spec, range.start as u64, &mut numbers);
        Ok(numbers)
    };
    Learner::open(model, config, fill).unwrap()
}

fn train(learner: &mut Learner, steps: u32, vocabulary: u32) {
    for step in 0..steps {
        let tokens: Vec<u32> =
            (0..(WINDOWS * (LENGTH + 1)) as u32).map(|i| (i * 7919 + step) % vocabulary).collect();
        learner.step(&tokens, LENGTH).unwrap();
    }
}

/// One test, since the allocator counts for the whole process.
#[test]
fn training_takes_what_the_plan_says() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();
    pool.install(|| {
        // What threads and libraries set up once is no memory of a network.
        train(&mut learner(&preset("tiny").unwrap(), &config("cpu:2", "none")), 1, 4096);
        for model in [network(256, 704, 4), network(512, 1408, 3)] {
            for recompute in ["none", "blocks"] {
                for members in [1, 2, 4, 8] {
                    compare(&model, members, &config(&format!("cpu:{members}"), recompute));
                }
            }
        }
    });
}

fn compare(model: &ModelConfig, members: usize, config: &Config) {
    let before = IN_USE.load(SeqCst);
    MOST.store(before, SeqCst);
    let mut learner = learner(model, config);
    train(&mut learner, 2, model.vocab_size as u32);
    let peak = (MOST.load(SeqCst) - before) as f64;

    let plan =
        MemoryPlan::new(model, Needs::of(config, &config.run.device.parse().unwrap())).unwrap();
    let share = 16.0 * model.num_parameters() as f64 / members as f64;
    for (member, planned) in plan.members.iter().enumerate() {
        let held = learner.bytes(member);
        assert_eq!(held.total() as u64, planned.persistent(), "member {member} of {members}");
        let ratio = held.total() as f64 / share;
        assert!(
            (ratio - 1.0).abs() <= 0.02,
            "member {member} of {members} holds {ratio:.4} of an even share"
        );
    }
    let planned: u64 = plan.members.iter().map(|member| member.peak()).sum();
    let ratio = peak / planned as f64;
    assert!((ratio - 1.0).abs() <= 0.05, "{members} members: {ratio:.4} of {:?}", plan.members);
}
