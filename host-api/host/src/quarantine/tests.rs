use proptest::prelude::*;

use super::*;

/// Clocks that stand still until they are moved.
struct Clocks {
    start: Instant,
    passed: Duration,
}

impl Clocks {
    fn new() -> Self {
        Self { start: Instant::now(), passed: Duration::ZERO }
    }

    fn pass(&mut self, time: Duration) {
        self.passed += time;
    }

    fn now(&self) -> Now {
        Now { tick: self.start + self.passed, time: Timestamp::UNIX_EPOCH + self.passed }
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn strike(conduct: &Conduct, clocks: &Clocks) -> Option<Change> {
    conduct.admit(clocks.now().tick).ok()?.strike(clocks.now(), "it trapped")
}

fn quarantined(change: Option<Change>) -> Quarantine {
    let Some(Change::Quarantined(quarantine)) = change else { panic!("{change:?}") };
    quarantine
}

/// A plugin that has had all its strikes.
fn shut(clocks: &Clocks) -> Conduct {
    let conduct = Conduct::new(Rules::default());
    for _ in 0..4 {
        assert_eq!(strike(&conduct, clocks), None);
    }
    quarantined(strike(&conduct, clocks));
    conduct
}

#[test]
fn the_fifth_strike_within_a_minute_is_one_too_many() {
    let mut clocks = Clocks::new();
    let conduct = Conduct::new(Rules::default());
    for _ in 0..20 {
        assert_eq!(strike(&conduct, &clocks), None, "four in any minute are borne");
        assert_eq!(conduct.admit(clocks.now().tick).unwrap().answered(), None, "when calls go well between");
        clocks.pass(15 * SECOND);
    }
    clocks.pass(60 * SECOND);
    for _ in 0..4 {
        assert_eq!(strike(&conduct, &clocks), None);
        clocks.pass(SECOND);
    }
    let quarantine = quarantined(strike(&conduct, &clocks));
    assert_eq!((quarantine.failures, &*quarantine.last), (5, "it trapped"));
    assert_eq!(quarantine.until, clocks.now().time + 30 * SECOND);
    assert_eq!(conduct.admit(clocks.now().tick).err(), Some(quarantine.clone()));
    assert_eq!(conduct.quarantine(), Some(quarantine));
}

#[test]
fn the_tenth_strike_in_a_row_is_one_too_many_however_long_it_takes() {
    let mut clocks = Clocks::new();
    let conduct = Conduct::new(Rules::default());
    for _ in 0..9 {
        assert_eq!(strike(&conduct, &clocks), None);
        clocks.pass(3600 * SECOND);
    }
    assert_eq!(quarantined(strike(&conduct, &clocks)).failures, 10);
}

#[test]
fn somebody_may_have_it_called_again() {
    let mut clocks = Clocks::new();
    let conduct = shut(&clocks);
    assert!(conduct.release() && !conduct.release());
    assert_eq!(conduct.quarantine(), None);
    for _ in 0..4 {
        assert_eq!(strike(&conduct, &clocks), None, "it begins anew");
    }
    quarantined(strike(&conduct, &clocks));
    clocks.pass(30 * SECOND);
    // Released while it is tried.
    let trial = conduct.admit(clocks.now().tick).unwrap();
    assert!(conduct.release());
    assert_eq!(trial.strike(clocks.now(), "x"), None, "one strike of a plugin that is called");
}

#[test]
fn after_its_time_one_call_tries_it_and_success_clears() {
    let mut clocks = Clocks::new();
    let conduct = shut(&clocks);
    clocks.pass(30 * SECOND - Duration::from_millis(1));
    assert!(conduct.admit(clocks.now().tick).is_err());
    clocks.pass(Duration::from_millis(1));
    let trial = conduct.admit(clocks.now().tick).unwrap();
    assert!(conduct.admit(clocks.now().tick).is_err(), "one at a time");
    assert_eq!(trial.answered(), Some(Change::Released));
    assert_eq!(conduct.quarantine(), None);
    assert_eq!(strike(&conduct, &clocks), None, "it begins anew");
}

#[test]
fn failed_trials_double_the_time_up_to_an_hour() {
    let mut clocks = Clocks::new();
    let conduct = shut(&clocks);
    let mut lengths = Vec::new();
    for _ in 0..9 {
        clocks.pass(conduct.quarantine().unwrap().ends - clocks.now().tick);
        let quarantine = quarantined(strike(&conduct, &clocks));
        lengths.push((quarantine.until.duration_since(clocks.now().time).as_secs(), quarantine.failures));
    }
    let seconds: Vec<_> = lengths.iter().map(|(seconds, _)| *seconds).collect();
    assert_eq!(seconds, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
    assert_eq!(lengths.last().unwrap().1, 14);
}

#[test]
fn a_trial_nobody_waited_for_proves_nothing() {
    let mut clocks = Clocks::new();
    let conduct = shut(&clocks);
    clocks.pass(30 * SECOND);
    drop(conduct.admit(clocks.now().tick).unwrap());
    let trial = conduct.admit(clocks.now().tick).expect("another may try");
    assert_eq!(trial.answered(), Some(Change::Released));
}

#[test]
fn calls_from_before_the_quarantine_change_nothing() {
    let mut clocks = Clocks::new();
    let conduct = Conduct::new(Rules::default());
    let tick = clocks.now().tick;
    let (early, late) = (conduct.admit(tick).unwrap(), conduct.admit(tick).unwrap());
    for _ in 0..5 {
        strike(&conduct, &clocks);
    }
    let before = conduct.quarantine().unwrap();
    assert_eq!(early.strike(clocks.now(), "late"), None);
    assert_eq!(conduct.quarantine(), Some(before));
    clocks.pass(30 * SECOND);
    let trial = conduct.admit(clocks.now().tick).unwrap();
    assert_eq!(late.answered(), None);
    assert!(conduct.quarantine().is_some(), "only the trial releases");
    assert_eq!(trial.answered(), Some(Change::Released));
}

#[test]
fn without_a_number_of_strikes_there_is_no_quarantine() {
    let clocks = Clocks::new();
    let conduct = Conduct::new(Rules { strikes: 0, ..Rules::default() });
    assert!((0..1000).all(|_| strike(&conduct, &clocks).is_none()));
}

/// What may happen.
#[derive(Debug, Clone)]
enum Step {
    Pass(u32),
    Admit,
    Strike(usize),
    Answer(usize),
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u32..40).prop_map(Step::Pass),
        Just(Step::Admit),
        Just(Step::Admit),
        any::<usize>().prop_map(Step::Strike),
        any::<usize>().prop_map(Step::Strike),
        any::<usize>().prop_map(Step::Answer),
        any::<usize>().prop_map(Step::GiveUp),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_rules_hold(steps in proptest::collection::vec(step(), 0..300)) {
        let rules = Rules { strikes: 3, within: 60 * SECOND, in_a_row: 5, first: 10 * SECOND, most: 50 * SECOND };
        let conduct = Conduct::new(rules);
        let mut clocks = Clocks::new();
        let mut passes: Vec<Pass<'_>> = Vec::new();
        // Strikes since the last release, and the last quarantine, as an outsider counts them.
        let (mut strikes, mut length): (Vec<Instant>, Option<Duration>) = (Vec::new(), None);
        let mut row = 0;
        for step in steps {
            let now = clocks.now();
            let standing = conduct.quarantine();
            match step {
                Step::Pass(seconds) => clocks.pass(seconds * SECOND),
                Step::Admit => match conduct.admit(now.tick) {
                    Ok(pass) => {
                        prop_assert_eq!(pass.trial, standing.is_some());
                        prop_assert!(standing.is_none_or(|quarantine| now.tick >= quarantine.ends));
                        prop_assert!(!pass.trial || passes.iter().all(|other| !other.trial), "one trial");
                        passes.push(pass);
                    }
                    Err(quarantine) => {
                        let on_trial = passes.iter().any(|pass| pass.trial);
                        prop_assert!(on_trial || now.tick < quarantine.ends, "nobody is shut out for ever");
                    }
                },
                _ if passes.is_empty() => {}
                Step::Strike(which) => {
                    let pass = passes.swap_remove(which % passes.len());
                    let trial = pass.trial;
                    strikes.push(now.tick);
                    row += 1;
                    let recent = strikes.iter().filter(|strike| now.tick - **strike < rules.within).count();
                    match pass.strike(now, "x") {
                        Some(Change::Quarantined(quarantine)) => {
                            let expected = match length {
                                Some(before) if trial => (before * 2).min(rules.most),
                                _ => rules.first,
                            };
                            prop_assert_eq!(quarantine.ends - now.tick, expected);
                            prop_assert!(trial || recent >= 3 || row >= 5);
                            length = Some(expected);
                        }
                        other => {
                            prop_assert_eq!(other, None);
                            prop_assert!(!trial && (standing.is_some() || recent < 3 && row < 5));
                        }
                    }
                }
                Step::Answer(which) => {
                    let pass = passes.swap_remove(which % passes.len());
                    let trial = pass.trial;
                    prop_assert_eq!(pass.answered().is_some(), trial);
                    if trial || standing.is_none() {
                        row = 0;
                    }
                    if trial {
                        prop_assert!(conduct.quarantine().is_none());
                        strikes.clear();
                    }
                }
                Step::GiveUp(which) => {
                    drop(passes.swap_remove(which % passes.len()));
                    prop_assert_eq!(conduct.quarantine(), standing);
                }
            }
        }
    }
}
