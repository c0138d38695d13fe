//! Memory of training, counted by the allocator and from the tensors, compared with the plan.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]
#![allow(
    unsafe_code,
    reason = "`GlobalAlloc` is an unsafe trait; this allocator only forwards to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use covey::config::layers::{Layers, Purpose};
use covey::config::schema::Config;
use covey::training::learner::Learner;
use covey::training::plan::{MemoryPlan, Needs};
use covey_model::config::{ModelConfig, preset};
use covey_model::init::Initializer;

/// The allocator of the system, with counters for the bytes in use and their maximum.
struct CountingAllocator;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn count(taken: usize) {
    PEAK.fetch_max(IN_USE.fetch_add(taken, SeqCst) + taken, SeqCst);
}

// SAFETY: every call is forwarded unchanged.
unsafe impl GlobalAlloc for CountingAllocator {
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
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Threads of the thread pool. With more threads than cores, some would never allocate their
/// buffers.
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

fn config(device: &str, checkpointing: &str) -> Config {
    let settings = [
        ("run.device", device),
        ("memory.activation_checkpointing", checkpointing),
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
    Learner::open(model, config, |spec, range| {
        let mut numbers = vec![0.0; range.len()];
        initializer.fill(spec, range.start as u64, &mut numbers);
        Ok(numbers)
    })
    .unwrap()
}

fn train(learner: &mut Learner, steps: u32, vocabulary: u32) {
    for step in 0..steps {
        let tokens: Vec<u32> =
            (0..(WINDOWS * (LENGTH + 1)) as u32).map(|i| (i * 7919 + step) % vocabulary).collect();
        learner.step(&tokens, LENGTH).unwrap();
    }
}

/// A single test, because the allocator counts for the whole process.
#[test]
fn training_needs_the_planned_memory() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();
    pool.install(|| {
        // Threads and libraries allocate some memory once; it is not part of a plan.
        train(&mut learner(&preset("tiny").unwrap(), &config("cpu:2", "none")), 1, 4096);
        for model in [network(256, 704, 4), network(512, 1408, 3)] {
            for checkpointing in ["none", "blocks"] {
                for members in [1, 2, 4, 8] {
                    compare(&model, members, &config(&format!("cpu:{members}"), checkpointing));
                }
            }
        }
    });
}

fn compare(model: &ModelConfig, members: usize, config: &Config) {
    let before = IN_USE.load(SeqCst);
    PEAK.store(before, SeqCst);
    let mut learner = learner(model, config);
    train(&mut learner, 2, model.vocab_size as u32);
    let peak = (PEAK.load(SeqCst) - before) as f64;

    let plan =
        MemoryPlan::new(model, Needs::of(config, &config.run.device.parse().unwrap())).unwrap();
    let share = 16.0 * model.num_parameters() as f64 / members as f64;
    for (member, planned) in plan.members.iter().enumerate() {
        let held = learner.bytes(member);
        assert_eq!(held.total() as u64, planned.persistent(), "device {member} of {members}");
        let ratio = held.total() as f64 / share;
        assert!(
            (ratio - 1.0).abs() <= 0.02,
            "device {member} of {members} holds {ratio:.4} of an even share"
        );
    }
    let planned: u64 = plan.members.iter().map(|member| member.peak()).sum();
    let ratio = peak / planned as f64;
    assert!((ratio - 1.0).abs() <= 0.05, "{members} devices: {ratio:.4} of {:?}", plan.members);
}
