use proptest::prelude::*;

use super::*;

const MINUTES: i64 = 5;
/// Steps of a day.
const DAY: usize = 288;

fn step() -> DurationMs {
    DurationMs::from_secs(60 * MINUTES)
}

fn at(i: usize) -> Timestamp {
    Timestamp::from_millis(1_767_571_200_000) + step() * i as i64
}

/// Numbers from 0 to 1 that look like chance.
fn chance(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    })
    .skip(20)
}

/// Independent normal numbers (Box & Muller).
fn normal(seed: u64) -> impl Iterator<Item = f64> {
    chance(seed).zip(chance(seed ^ 0x5555_5555)).map(|(u, v)| (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos())
}

fn exponential(seed: u64) -> impl Iterator<Item = f64> {
    chance(seed).map(|u| -(1.0 - u).ln())
}

/// Student's t with three degrees of freedom.
fn heavy(seed: u64) -> impl Iterator<Item = f64> {
    let squares = (1..4).map(|k| normal(seed.wrapping_add(k << 40)).map(|z| z * z));
    let mut squares: Vec<_> = squares.collect();
    normal(seed).map(move |z| z / (squares.iter_mut().filter_map(Iterator::next).sum::<f64>() / 3.0).sqrt())
}

/// What is told of the values, one each step: where, and how strong.
fn told(values: impl IntoIterator<Item = f64>) -> Vec<(usize, f64)> {
    let mut news = News::new(step());
    let told: Vec<_> = values.into_iter().enumerate().filter_map(|(i, value)| Some((i, news.push(at(i), value).news?))).collect();
    assert!(news.is_sound());
    told
}

/// Those of them that are at least so strong.
fn strong(values: impl IntoIterator<Item = f64>, least: f64) -> Vec<usize> {
    told(values).into_iter().filter(|(_, strength)| *strength >= least).map(|(i, _)| i).collect()
}

#[test]
fn what_never_changes_is_never_news() {
    for value in [0.0, 0.1, -7.3, 1e-300, 1e15 + 0.1, f64::MAX, f64::MIN] {
        assert_eq!(told(vec![value; 5000]), [], "{value}");
    }
    // Nor is what repeats every day.
    let daily = (0..20 * DAY).map(|i| (i as f64 / DAY as f64 * std::f64::consts::TAU).sin() + 1e6);
    assert_eq!(strong(daily, 4.0), Vec::<usize>::new());
}

#[test]
fn the_first_change_after_a_flat_past_is_news() {
    for (flat, then) in [(0.0, 1.0), (0.0, 1e-9), (5.0, 5.01), (-1e12, -1.001e12), (1e150, -1e150), (0.3, 0.0), (0.0, f64::MAX)] {
        let told = told((0..1000).map(|i| if i < 900 { flat } else { then }));
        let (i, strength) = told[0];
        assert!((900..=904).contains(&i) && told.len() == 1, "{flat} {then} {told:?}");
        assert!(strength > 20.0 && strength < 100.0, "{flat} {then} {strength}");
    }
    // What rounding makes of a flat line is no change.
    assert_eq!(told((0..3000).map(|i| 100.0 + 1e-9 * f64::from(i % 7))), []);
}

#[test]
fn a_burst_that_comes_every_day_at_one_time_is_told_at_first() {
    let burst = |i: usize, hour: usize| if i % DAY / 12 == hour { 50.0 } else { 0.0 };
    // From the fourth day on, for an hour; in the end at another hour too.
    let values = normal(3).take(12 * DAY).enumerate().map(|(i, z)| {
        let again = if i >= 4 * DAY { burst(i, 9) } else { 0.0 };
        let other = if i >= 11 * DAY { burst(i, 17) } else { 0.0 };
        z + again + other
    });
    let found = strong(values, 6.0);
    let first = 4 * DAY + 9 * 12;
    assert!(found.iter().any(|i| (first..first + 5).contains(i)), "{found:?}");
    assert_eq!(found.iter().filter(|i| (first + 36..11 * DAY + 17 * 12).contains(*i)).count(), 0, "{found:?}");
    // The same burst at an hour that never had one is no record any more, and still something to look at.
    let weak = strong(normal(3).take(12 * DAY).enumerate().map(|(i, z)| z + burst(i, 9)), 4.75);
    assert!(weak.iter().all(|i| *i < 2 * DAY), "{weak:?}");
}

#[test]
fn a_new_level_is_told_once() {
    for seed in 1..20 {
        let values = normal(seed).take(5000).enumerate().map(|(i, z)| if i < 3000 { z } else { z + 15.0 });
        let found: Vec<usize> = strong(values, 6.0).into_iter().filter(|i| *i >= 3000).collect();
        assert_eq!(found.len(), 1, "{seed} {found:?}");
        assert!(found[0] <= 3004);
    }
}

#[test]
fn only_what_is_much_rarer_breaks_the_quiet() {
    let values = |second: f64| {
        let spikes = move |i: usize| {
            if i == 2000 {
                30.0
            } else if i == 2050 {
                second
            } else {
                0.0
            }
        };
        strong(normal(8).take(2400).enumerate().map(move |(i, z)| z + spikes(i)), 6.0)
    };
    assert_eq!(values(30.0).len(), 1);
    let both = values(300.0);
    assert_eq!(both.len(), 2);
    assert!((2050..=2054).contains(&both[1]), "{both:?}");
}

#[test]
fn a_missing_value_says_nothing_and_holds_nothing_up() {
    let mut news = News::new(step());
    for (i, z) in normal(5).take(1000).enumerate() {
        news.push(at(i), z);
    }
    let before = news.clone();
    for missing in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let told = news.push(at(1000), missing);
        assert!(told.rarity.is_nan() && told.news.is_none());
    }
    assert_eq!(news, before);
    assert!(news.push(at(999), 1e9).rarity.is_nan() && news.push(at(0), 1e9).rarity.is_nan(), "what is not later is passed over");
    assert_eq!(news, before);
    // One value far off, then nothing for an hour: it is told with the next value.
    assert_eq!(news.push(at(1001), 100.0).news, None);
    let late = news.push(at(1013), 0.0);
    assert!(late.news.is_some_and(|strength| strength > 8.0), "{late:?}");
}

#[test]
fn any_step_and_any_time_will_do() {
    for seconds in [0, 1, 60, 7 * 60, 3600, 86_400, 86_401, 30 * 86_400] {
        let step = DurationMs::from_secs(seconds);
        let mut news = News::new(step);
        for (i, z) in normal(6).take(1500).enumerate() {
            let uneven = Timestamp::from_millis(-1_000_000_000_000 + step.millis().max(1) * i as i64 + (i as i64 * 7919) % 11);
            news.push(uneven, z);
        }
        assert!(news.is_sound(), "{seconds}");
        let end = Timestamp::from_millis(i64::MAX);
        assert!(!news.push(end, 1.0).rarity.is_nan() && news.push(end, 1.0).rarity.is_nan());
    }
}

#[test]
fn noise_without_any_event_is_hardly_ever_strong_news() {
    let rows = 6000;
    let mut found = [0; 3];
    for seed in 1..=20 {
        found[0] += strong(normal(seed).take(rows), 8.0).len();
        found[1] += strong(exponential(seed).take(rows), 8.0).len();
        found[2] += strong(heavy(seed).take(rows), 8.0).len();
    }
    // Of 120000 values each. Student's tail is heavier than the power law that is taken for granted.
    assert!(found[0] <= 2 && found[1] <= 10 && found[2] <= 40, "{found:?}");
}

#[test]
fn what_is_written_and_read_back_goes_on_the_same() {
    let values: Vec<f64> = heavy(11).take(4000).collect();
    let mut news = News::new(step());
    for (i, value) in values.iter().enumerate() {
        if i % 501 == 500 {
            let bytes = postcard::to_allocvec(&news).unwrap();
            let read: News = postcard::from_bytes(&bytes).unwrap();
            assert!(read == news && read.is_sound());
            assert!(bytes.len() < 14_000, "{} bytes", bytes.len());
            let mut whole = news;
            news = read;
            assert_eq!(news.push(at(i), *value), whole.push(at(i), *value));
            assert_eq!(news, whole);
        } else {
            news.push(at(i), *value);
        }
    }
}

#[test]
fn what_is_unsound_is_seen() {
    let mut news = News::new(step());
    assert!(news.is_sound());
    for (i, value) in normal(12).take(500).enumerate() {
        news.push(at(i), value);
    }
    assert!(news.is_sound());
    let broken: [fn(&mut News); 8] = [
        |news| news.fast = f64::NAN,
        |news| news.values.extend([0.0; 3]),
        |news| news.surprises[3] = f64::INFINITY,
        |news| news.short.variance = -1.0,
        |news| news.long.mean = f64::NAN,
        |news| news.step = DurationMs::HOUR,
        |news| news.surprises_seen = Memory::new(7, step()),
        |news| news.told = Some(Episode { since: at(0), rarest: at(0), rarity: f64::NAN }),
    ];
    for (i, spoil) in broken.iter().enumerate() {
        let mut other = news.clone();
        spoil(&mut other);
        assert!(!other.is_sound(), "{i}");
    }
}

/// Values of many kinds, with gaps.
fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -1.0..1.0_f64,
        4 => Just(0.0),
        2 => -1e6..1e6_f64,
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(1e150), Just(-1e150), Just(f64::MAX), Just(f64::MIN_POSITIVE), Just(1e-320)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_values_tell_the_same_whatever_comes_after(
        values in prop::collection::vec(any_value(), 1..1200), minutes in 1_i64..3000, cut in 0.0..1.0_f64,
    ) {
        let step = DurationMs::from_secs(60 * minutes);
        let bits = |values: &[f64]| {
            let mut news = News::new(step);
            let mut told = Vec::new();
            for (i, value) in values.iter().enumerate() {
                let Told { rarity, news } = news.push(Timestamp::from_millis(0) + step * i as i64, *value);
                prop_assert_eq!(rarity.is_nan(), !value.is_finite());
                prop_assert!(rarity.is_nan() || (0.0..100.0).contains(&rarity), "{}", rarity);
                prop_assert!(news.is_none_or(|strength| (OPENS..100.0).contains(&strength)));
                told.push((rarity.to_bits(), news.map(f64::to_bits)));
            }
            prop_assert!(news.is_sound());
            Ok(told)
        };
        let whole = bits(&values)?;
        let cut = (cut * values.len() as f64) as usize;
        prop_assert_eq!(&bits(&values[..cut])?[..], &whole[..cut]);
    }

    #[test]
    fn of_noise_at_most_one_value_in_five_hundred_is_strong_news(seed in 0_u64..1_000_000) {
        prop_assert!(strong(normal(seed).take(4000), 8.0).len() <= 2);
        prop_assert!(strong(exponential(seed).take(4000), 8.0).len() <= 4);
        prop_assert!(strong(heavy(seed).take(4000), 8.0).len() <= 8);
    }

    #[test]
    fn neither_unit_nor_origin_matters_much(seed in 0_u64..1000, scale in prop_oneof![Just(1e-9), Just(1e-3), Just(1024.0), Just(1e12)]) {
        let values: Vec<f64> = normal(seed).take(900).enumerate().map(|(i, z)| if i == 700 { 40.0 } else { z }).collect();
        let (plain, scaled) = (strong(values.iter().copied(), 8.0), strong(values.iter().map(|v| v * scale), 8.0));
        prop_assert!(plain.iter().any(|i| (700..705).contains(i)));
        prop_assert!(scaled.iter().any(|i| (700..705).contains(i)));
        let moved = strong(values.iter().map(|v| v + 1000.0), 8.0);
        prop_assert!(moved.iter().any(|i| (700..705).contains(i)));
    }
}
