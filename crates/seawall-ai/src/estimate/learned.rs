//! What was learned of one model: a pure core, without a clock.

use seawall_core::TokenCount;

use super::config::EstimateConfig;
use super::in_flight::InFlight;

/// One class per power of two of the maximum that a request sets, and one for no maximum.
const CLASSES: usize = 33;
/// How many responses count: a mean that forgets with this many.
const MEMORY: f64 = 512.0;
/// So many responses make a mean.
const ENOUGH: f64 = 8.0;
/// What is reserved of the input before anything is learned, times the estimate of the tokenizer: three
/// bytes per token in place of four.
const UNLEARNED: f64 = 4.0 / 3.0;
/// What a response may correct the tokenizer by: prompts that are nearly all cached count little.
const LEAST_RATIO: f64 = 1.0 / 64.0;
const MOST_RATIO: f64 = 8.0;

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    count: f64,
    mean: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.count = (self.count + 1.0).min(MEMORY);
        self.mean += (value - self.mean) / self.count;
    }

    fn known(&self) -> Option<f64> {
        (self.count >= ENOUGH).then_some(self.mean)
    }
}

/// What a call is expected to use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    /// What is reserved.
    pub(crate) tokens: TokenCount,
    /// The estimate of the tokenizer.
    pub(crate) counted: u32,
    /// The maximum of the output, where the request has one.
    pub(crate) max_output: Option<u32>,
    /// How often the output is written, where the request has no maximum of all.
    choices: u32,
    /// The means of input and output, zero where they are not known.
    means: [f64; 2],
}

impl Expectation {
    /// The most output that is believed.
    pub(crate) fn most_output(&self, config: &EstimateConfig) -> u32 {
        let longest = config.longest_output().saturating_mul(self.choices);
        self.max_output.unwrap_or(longest)
    }
}

#[derive(Debug)]
pub(crate) struct Learned {
    /// What responses used per token that the tokenizer counted.
    ratio: Mean,
    output: [Mean; CLASSES],
    in_flight: InFlight,
    responses: u64,
}

const fn class(max_output: Option<u32>) -> usize {
    match max_output {
        None => 0,
        Some(most) => (u32::BITS - most.leading_zeros()) as usize,
    }
}

impl Learned {
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            ratio: Mean::default(),
            output: [Mean::default(); CLASSES],
            in_flight: InFlight::new(now_ns),
            responses: 0,
        }
    }

    fn mean_of(&self, max_output: Option<u32>) -> Option<f64> {
        self.output.get(class(max_output)).and_then(Mean::known)
    }

    /// What a call is expected to use; the maximum while that is not known.
    pub(crate) fn expect(
        &self,
        counted: u32,
        max_output: Option<u32>,
        choices: u32,
        config: &EstimateConfig,
    ) -> Expectation {
        // A maximum is of all choices together, and without one each is learned by itself.
        let choices = max_output.map_or(choices.max(1), |_| 1);
        let [input_factor, output_factor] = self.in_flight.factors(config.deviations());
        let ratio = self.ratio.known();
        let input_mean = f64::from(counted) * ratio.unwrap_or(1.0);
        // Between the end of the first calls and that of the first moments, the first factor counts.
        let factor = input_factor.unwrap_or(UNLEARNED).max(1.0);
        let input = match ratio {
            Some(_) => input_mean * factor,
            None => f64::from(counted) * UNLEARNED,
        };
        let most = max_output.unwrap_or(config.default_output().saturating_mul(choices));
        let output_mean = self.mean_of(max_output);
        let output_mean = output_mean.map(|mean| mean * f64::from(choices));
        let output = match (output_mean, output_factor) {
            (Some(mean), Some(factor)) if !(config.charges_maximum() && max_output.is_some()) => {
                let output = whole((mean * factor.max(1.0)).max(1.0));
                max_output.map_or(output, |most| output.min(most))
            }
            _ => most,
        };
        Expectation {
            tokens: TokenCount::new(whole(input), output),
            counted,
            max_output,
            choices,
            means: [
                ratio.map_or(0.0, |_| input_mean),
                output_mean.unwrap_or(0.0),
            ],
        }
    }

    pub(crate) fn departed(&mut self, now_ns: u64) {
        self.in_flight.departed(now_ns);
    }

    /// The call has ended. What it has read and written is learned where it is known, within what is
    /// possible.
    pub(crate) fn ended(
        &mut self,
        expected: &Expectation,
        departed_ns: Option<u64>,
        now_ns: u64,
        used: Option<(Option<u32>, u32)>,
        config: &EstimateConfig,
    ) {
        let counted = f64::from(expected.counted);
        let most = expected.most_output(config);
        let used = used.map(|(input, output)| {
            let within =
                |input| f64::from(input).clamp(counted * LEAST_RATIO, counted * MOST_RATIO);
            (input.map(within), f64::from(output.min(most)))
        });
        if let Some(departed_ns) = departed_ns {
            let [input_mean, output_mean] = expected.means;
            let (means, sums) = match used {
                Some((Some(input), output)) => ([input_mean, output_mean], [input, output]),
                Some((None, output)) => ([0.0, output_mean], [0.0, output]),
                None => ([0.0; 2], [0.0; 2]),
            };
            self.in_flight.ended(departed_ns, now_ns, means, sums);
        }
        let Some((input, output)) = used else { return };
        self.responses = self.responses.saturating_add(1);
        if let Some(input) = input.filter(|_| counted > 0.0) {
            self.ratio.add(input / counted);
        }
        if let Some(mean) = self.output.get_mut(class(expected.max_output)) {
            mean.add(output / f64::from(expected.choices));
        }
    }

    pub(crate) const fn in_flight(&self) -> u32 {
        self.in_flight.in_flight()
    }

    pub(crate) const fn responses(&self) -> u64 {
        self.responses
    }

    /// What a token of the tokenizer is worth; `None` while that is not known.
    pub(crate) fn input_ratio(&self) -> Option<f64> {
        self.ratio.known()
    }

    /// By how much the means of input and output are multiplied.
    pub(crate) fn factors(&self, config: &EstimateConfig) -> [Option<f64>; 2] {
        self.in_flight.factors(config.deviations())
    }
}

/// Rounded up; saturates.
fn whole(tokens: f64) -> u32 {
    tokens.ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    /// Teaches calls of one kind for so many seconds, ten of them each.
    fn teach(
        learned: &mut Learned,
        seconds: std::ops::Range<u64>,
        counted: u32,
        most: Option<u32>,
        used: TokenCount,
    ) {
        let config = EstimateConfig::default();
        for second in seconds {
            for _ in 0..10 {
                let at = (second + 1) * SECOND - 1;
                let expected = learned.expect(counted, most, 1, &config);
                learned.departed(at);
                let used = Some((Some(used.input), used.output));
                learned.ended(&expected, Some(at), at + 2, used, &config);
            }
        }
    }

    #[test]
    fn the_maximum_is_reserved_until_enough_calls_have_ended() {
        let config = EstimateConfig::default();
        let mut learned = Learned::new(0);
        let at_first = TokenCount::new(400, 1_000);
        assert_eq!(
            learned.expect(300, Some(1_000), 1, &config).tokens,
            at_first
        );
        assert_eq!(learned.expect(300, None, 1, &config).tokens.output, 4_096);
        teach(
            &mut learned,
            0..5,
            300,
            Some(1_000),
            TokenCount::new(450, 80),
        );
        let output = learned.expect(300, Some(1_000), 1, &config).tokens.output;
        assert_eq!(output, 1_000);
        teach(
            &mut learned,
            5..60,
            300,
            Some(1_000),
            TokenCount::new(450, 80),
        );
        let tokens = learned.expect(300, Some(1_000), 1, &config).tokens;
        assert_eq!(tokens, TokenCount::new(450, 80));
        // A class of its own, of which nothing is known; and never more than the maximum.
        assert_eq!(
            learned.expect(300, Some(9_000), 1, &config).tokens.output,
            9_000
        );
        assert_eq!(learned.expect(300, Some(600), 1, &config).tokens.output, 80);
        teach(&mut learned, 60..90, 300, None, TokenCount::new(450, 5_000));
        assert_eq!(learned.expect(300, None, 1, &config).tokens.output, 5_000);
    }

    #[test]
    fn without_a_maximum_each_choice_is_expected() {
        let config = EstimateConfig::default();
        let mut learned = Learned::new(0);
        assert_eq!(
            learned.expect(300, None, 8, &config).tokens.output,
            8 * 4_096
        );
        teach(&mut learned, 0..60, 300, None, TokenCount::new(300, 50));
        assert_eq!(learned.expect(300, None, 8, &config).tokens.output, 400);
        assert_eq!(learned.expect(300, Some(90), 8, &config).tokens.output, 90);
    }

    #[test]
    fn what_a_provider_charges_by_its_maximum_is_reserved_so() {
        let config = EstimateConfig::builder().charges_maximum(true);
        let config = config.build().unwrap();
        let mut learned = Learned::new(0);
        teach(
            &mut learned,
            0..60,
            300,
            Some(1_000),
            TokenCount::new(450, 80),
        );
        let tokens = learned.expect(300, Some(1_000), 1, &config).tokens;
        assert_eq!(tokens, TokenCount::new(450, 1_000));
    }

    #[test]
    fn a_model_whose_responses_become_longer_is_learned_again() {
        let config = EstimateConfig::default();
        let mut learned = Learned::new(0);
        teach(
            &mut learned,
            0..120,
            300,
            Some(1_000),
            TokenCount::new(300, 80),
        );
        teach(
            &mut learned,
            120..600,
            300,
            Some(1_000),
            TokenCount::new(300, 800),
        );
        let output = learned.expect(300, Some(1_000), 1, &config).tokens.output;
        assert!((800..=1_000).contains(&output), "{output}");
    }

    proptest! {
        #[test]
        fn no_usage_makes_a_reservation_impossible(
            calls in prop::collection::vec(
                (any::<u32>(), prop::option::of(any::<u32>()), any::<u32>(), any::<u32>(), any::<bool>()),
                1..200,
            ),
        ) {
            let config = EstimateConfig::default();
            let mut learned = Learned::new(0);
            for (n, (counted, most, input, output, departs)) in calls.into_iter().enumerate() {
                let at = n as u64 * SECOND / 3;
                let expected = learned.expect(counted, most, 1, &config);
                let tokens = expected.tokens;
                prop_assert!(tokens.output <= most.unwrap_or(u32::MAX));
                prop_assert!(tokens.output > 0 || most == Some(0));
                let at_least = f64::from(counted) / 65.0;
                prop_assert!(f64::from(tokens.input) >= at_least.min(f64::from(u32::MAX)));
                let departed = departs.then(|| { learned.departed(at); at });
                let used = Some((Some(input), output));
                learned.ended(&expected, departed, at + SECOND, used, &config);
            }
        }

        /// One lie moves what is reserved by a bounded part.
        #[test]
        fn one_response_that_lies_does_little(input in any::<u32>(), output in any::<u32>()) {
            let config = EstimateConfig::default();
            let mut learned = Learned::new(0);
            let used = TokenCount::new(300, 80);
            teach(&mut learned, 0..300, 300, Some(1_000), used);
            let lie = TokenCount::new(input, output);
            let expected = learned.expect(300, Some(1_000), 1, &config);
            learned.ended(&expected, None, 300 * SECOND, Some((Some(lie.input), lie.output)), &config);
            let tokens = learned.expect(300, Some(1_000), 1, &config).tokens;
            prop_assert!((295..=310).contains(&tokens.input), "{tokens:?}");
            prop_assert!((79..=84).contains(&tokens.output), "{tokens:?}");
        }
    }
}
