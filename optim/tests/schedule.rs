//! Laws of the schedule, and the recipe of the Covenant-72B run with its published numbers.

use covey_optim::inner::{Anneal, FlatWindow, Rewind, Schedule, ScheduleShape};
use proptest::prelude::*;

/// Warm-up, cosine and flat window of the 72B run: 2,740 rounds of 30 steps, then 450 rounds
/// without decay.
fn covenant() -> Schedule {
    Schedule {
        peak: 1.2e-4,
        shape: ScheduleShape::Cosine { decay_steps: 140_000, final_ratio: 0.1 },
        warmup_steps: 1_500,
        warmup_start_ratio: 1e-6,
        flat_windows: vec![FlatWindow { start: 82_200, length: 13_500 }],
        rewinds: Vec::new(),
        anneal: None,
    }
}

fn assert_close(got: f64, expected: f64) {
    assert!((got - expected).abs() <= 1e-12 * expected.abs(), "got {got:e}, expected {expected:e}");
}

#[test]
fn warm_up_rises_linearly_from_a_millionth() {
    let schedule = covenant();
    for (step, expected) in
        [(0, 1.2e-10), (1, 8.011992e-8), (750, 6.000006e-5), (1_499, 1.1992000008e-4)]
    {
        assert_close(schedule.learning_rate(step), expected);
    }
}

#[test]
fn the_cosine_has_the_expected_values_at_its_quarters() {
    let schedule = Schedule { flat_windows: Vec::new(), ..covenant() };
    let golden = [
        (1_500, 1.2e-4),
        (36_500, 1.0418376618407356e-4),
        (71_500, 6.6e-5),
        (121_500, 1.7347681133269373e-5),
        (141_500, 1.2e-5),
        (1_000_000, 1.2e-5),
    ];
    for (step, expected) in golden {
        assert_close(schedule.learning_rate(step), expected);
    }
}

#[test]
fn the_clock_stops_in_the_flat_window() {
    let schedule = covenant();
    for step in [82_200, 82_201, 90_000, 95_699, 95_700] {
        assert_eq!(schedule.clock(step), 82_200);
        assert_close(schedule.learning_rate(step), 5.3158422854619966e-5);
    }
    assert_eq!(schedule.clock(95_701), 82_201);
    let without_window = Schedule { flat_windows: Vec::new(), ..covenant() };
    assert_eq!(schedule.learning_rate(110_000), without_window.learning_rate(96_500));
}

#[test]
fn a_rewind_repeats_the_schedule() {
    let rewound = Schedule { rewinds: vec![Rewind { at: 120_000, steps: 20_000 }], ..covenant() };
    assert_eq!(rewound.clock(119_999), 106_499);
    assert_eq!(rewound.clock(120_000), 86_500);
    assert_eq!(rewound.learning_rate(119_999), covenant().learning_rate(119_999));
    assert_eq!(rewound.learning_rate(120_000), covenant().learning_rate(100_000));
    assert_eq!(rewound.learning_rate(150_000), covenant().learning_rate(130_000));
}

#[test]
fn anneal_rises_to_a_quarter_of_the_peak_and_falls_to_zero() {
    let anneal = Anneal { start: 183_000, warmup_steps: 100, peak_ratio: 0.25, decay_steps: 4_500 };
    let schedule = Schedule { anneal: Some(anneal), ..covenant() };
    assert_eq!(schedule.learning_rate(182_999), covenant().learning_rate(182_999));
    assert_eq!(schedule.learning_rate(183_000), 0.0);
    let golden = [
        (183_001, 3e-7),
        (183_050, 1.5e-5),
        (183_100, 3e-5),
        (185_350, 1.5e-5),
        (187_599, 3e-5 / 4_500.0),
    ];
    for (step, expected) in golden {
        let got = schedule.learning_rate(step);
        assert!((got - expected).abs() < 1e-18, "step {step}: got {got:e}, expected {expected:e}");
    }
    assert_eq!(schedule.learning_rate(187_600), 0.0);
    assert_eq!(schedule.learning_rate(u64::MAX), 0.0);
}

#[test]
fn wsd_is_constant_and_then_falls_linearly() {
    let shape = ScheduleShape::Wsd { stable_steps: 70, decay_steps: 20, final_ratio: 0.2 };
    let schedule = Schedule { shape, warmup_steps: 10, ..Schedule::constant(1.0) };
    for (step, expected) in
        [(5, 0.5), (10, 1.0), (80, 1.0), (85, 0.8), (90, 0.6), (100, 0.2), (101, 0.2)]
    {
        assert_close(schedule.learning_rate(step), expected);
    }
}

#[test]
fn a_schedule_is_read_as_written() {
    let schedule = Schedule {
        rewinds: vec![Rewind { at: 120_000, steps: 20_000 }],
        anneal: Some(Anneal {
            start: 183_000,
            warmup_steps: 100,
            peak_ratio: 0.25,
            decay_steps: 4_500,
        }),
        ..covenant()
    };
    let text = serde_json::to_string(&schedule).unwrap();
    assert!(
        text.contains(r#""shape":{"kind":"cosine","decay_steps":140000,"final_ratio":0.1}"#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
    assert_eq!(
        serde_json::from_str::<Schedule>(r#"{"peak": 0.5}"#).unwrap(),
        Schedule::constant(0.5)
    );
    assert!(serde_json::from_str::<Schedule>(r#"{"peak": 0.5, "warm": 3}"#).is_err());
}

#[test]
fn check_reports_every_setting_that_breaks_its_rule() {
    assert_eq!(covenant().check(), []);
    let wrong = Schedule {
        peak: -1.0,
        shape: ScheduleShape::Cosine { decay_steps: 10, final_ratio: 2.0 },
        warmup_start_ratio: f64::NAN,
        flat_windows: vec![
            FlatWindow { start: 10, length: 5 },
            FlatWindow { start: 12, length: 5 },
        ],
        rewinds: vec![Rewind { at: 30, steps: 15 }, Rewind { at: 40, steps: 16 }],
        anneal: Some(Anneal { start: 50, warmup_steps: 0, peak_ratio: -0.5, decay_steps: 1 }),
        ..covenant()
    };
    let keys: Vec<_> = wrong.check().into_iter().map(|finding| finding.key).collect();
    let expected = [
        "peak",
        "shape.final_ratio",
        "warmup_start_ratio",
        "flat_windows[1].start",
        "rewinds[1].steps",
        "anneal.peak_ratio",
    ];
    assert_eq!(keys, expected);
    assert_eq!(wrong.check()[0].to_string(), "peak = -1 must be 0 or more, and finite");
}

fn shapes() -> impl Strategy<Value = ScheduleShape> {
    prop_oneof![
        Just(ScheduleShape::Constant),
        (0..500u64, 0.0..=1.0).prop_map(|(decay_steps, final_ratio)| ScheduleShape::Cosine {
            decay_steps,
            final_ratio
        }),
        (0..500u64, 0..500u64, 0.0..=1.0).prop_map(|(stable_steps, decay_steps, final_ratio)| {
            ScheduleShape::Wsd { stable_steps, decay_steps, final_ratio }
        }),
    ]
}

prop_compose! {
    fn schedules()(
        peak in 0.0..1.0,
        shape in shapes(),
        warmup_steps in 0..200u64,
        warmup_start_ratio in 0.0..=1.0,
        windows in prop::collection::vec((0..100u64, 0..100u64), 0..3),
        rewinds in prop::collection::vec((0..500u64, 0..100u64), 0..3),
        anneal in prop::option::of((0..900u64, 0..50u64, 0.0..=1.0, 0..300u64)),
    ) -> Schedule {
        let mut end = 0;
        let flat_windows = windows.into_iter().map(|(gap, length)| {
            let start = end + gap;
            end = start + length;
            FlatWindow { start, length }
        }).collect();
        Schedule {
            peak,
            shape,
            warmup_steps,
            warmup_start_ratio,
            flat_windows,
            rewinds: rewinds.into_iter().map(|(at, steps)| Rewind { at, steps }).collect(),
            anneal: anneal.map(|(start, warmup_steps, peak_ratio, decay_steps)| {
                Anneal { start, warmup_steps, peak_ratio, decay_steps }
            }),
        }
    }
}

proptest! {
    #[test]
    fn the_rate_is_between_zero_and_the_peak(schedule in schedules(), step in 0..1_500u64) {
        let rate = schedule.learning_rate(step);
        prop_assert!((0.0..=schedule.peak * (1.0 + 1e-12)).contains(&rate), "{rate}");
    }

    #[test]
    fn the_rate_never_falls_in_warm_up_and_never_rises_after_it(
        schedule in schedules(),
        step in 0..1_500u64,
    ) {
        let plain = Schedule {
            flat_windows: Vec::new(),
            rewinds: Vec::new(),
            anneal: None,
            ..schedule
        };
        let (now, next) = (plain.learning_rate(step), plain.learning_rate(step + 1));
        if step < plain.warmup_steps {
            prop_assert!(next >= now * (1.0 - 1e-12));
        } else {
            prop_assert!(next <= now * (1.0 + 1e-12));
        }
    }

    #[test]
    fn the_clock_advances_by_one_or_stops_between_rewinds(
        schedule in schedules(),
        step in 0..1_500u64,
    ) {
        let schedule = Schedule { rewinds: Vec::new(), ..schedule };
        let is_flat = schedule
            .flat_windows
            .iter()
            .any(|window| (window.start..window.start + window.length).contains(&step));
        prop_assert_eq!(schedule.clock(step + 1) - schedule.clock(step), u64::from(!is_flat));
    }

    #[test]
    fn the_rate_is_continuous_where_the_shape_is(
        decay in 100..500u64,
        ratio in 0.0..=1.0,
        step in 0..1_500u64,
    ) {
        let cosine = ScheduleShape::Cosine { decay_steps: decay, final_ratio: ratio };
        let wsd = ScheduleShape::Wsd { stable_steps: 50, decay_steps: decay, final_ratio: ratio };
        for shape in [cosine, wsd] {
            let schedule = Schedule { shape, warmup_steps: 100, ..Schedule::constant(1.0) };
            let jump = (schedule.learning_rate(step + 1) - schedule.learning_rate(step)).abs();
            // A cosine falls at most pi/2 times as fast as a line of the same length.
            prop_assert!(jump <= std::f64::consts::FRAC_PI_2 / 100.0 + 1e-12, "{jump}");
        }
    }
}
