//! A score with its parts.

use seawall_core::{InstanceName, Samples};

use super::config::ScoreConfig;
use super::part::Part;

/// What one part comes to.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartScore {
    /// The part.
    pub part: Part,
    /// Its share of the score in percent, after those without a source were left out.
    pub weight: f64,
    /// From 0 to 100; `None` where there is no source.
    pub score: Option<f64>,
    /// What it is made of, or why there is none.
    pub words: String,
}

/// The score of one service.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CheckScore))]
pub struct ServiceScore {
    /// The service.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: InstanceName,
    /// From 0 to 100; see [`ServiceFigures::score`](crate::ServiceFigures::score).
    pub score: f64,
}

/// What to do, and how much the score would gain by it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Recommendation {
    /// The part that it is about.
    pub part: Part,
    /// So many points of the score.
    pub points: f64,
    /// What to do.
    pub words: String,
}

/// A score with its parts.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScoreReport {
    /// From 0 to 100; `None` where no part that counts has a source. At most half of the threshold where
    /// something is found without which the program does not do its work.
    pub score: Option<f64>,
    /// Below which score it is low.
    pub threshold: f64,
    /// Whether it is low.
    pub is_low: bool,
    /// Each part.
    pub parts: Vec<PartScore>,
    /// Each service, the worst first.
    pub services: Vec<ServiceScore>,
    /// What to do, by how much it costs; what costs less than half a point is not there.
    pub recommendations: Vec<Recommendation>,
    /// How much of the machine is used, where that is a source.
    #[cfg(feature = "system")]
    pub system: Option<crate::SystemReport>,
}

/// What a part comes to, and what costs it points.
pub(super) struct Judged {
    score: f64,
    words: String,
    findings: Vec<Finding>,
}

/// Something that costs a part so many points of its 100.
pub(super) struct Finding {
    points: f64,
    words: String,
    caps: bool,
}

/// The highest score with a finding that caps it, of the threshold: clearly low, whatever else is well.
const CAP: f64 = 0.5;

/// What costs less is not worth a word.
const LEAST_POINTS: f64 = 0.5;

impl Finding {
    pub(super) fn new(points: f64, words: impl Into<String>) -> Self {
        Self {
            points,
            words: words.into(),
            caps: false,
        }
    }

    /// Caps the score, where `caps`: without this, the program does not do its work.
    pub(super) fn capping(self, caps: bool) -> Self {
        Self { caps, ..self }
    }
}

impl Judged {
    pub(super) fn new(score: f64, words: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self {
            score: score.clamp(0.0, 100.0),
            words: words.into(),
            findings,
        }
    }
}

/// Caps a score, and adds the points that this costs to what costs most of those that cap it.
fn cap(score: &mut Option<f64>, cap: f64, found: &mut [(Recommendation, bool)]) {
    let capping = found.iter_mut().filter(|(_, caps)| *caps);
    let first = capping.max_by(|(a, _), (b, _)| a.points.total_cmp(&b.points));
    if let (Some(score), Some((first, _))) = (score, first)
        && *score > cap
    {
        first.points += *score - cap;
        first.words += &format!("; until then the score is at most {cap:.0}");
        *score = cap;
    }
}

impl ScoreReport {
    pub(super) fn new(
        config: ScoreConfig,
        parts: [(Part, Option<Judged>); Part::ALL.len()],
    ) -> Self {
        let counted = parts.iter().filter(|(_, judged)| judged.is_some());
        let all: f64 = counted.map(|(part, _)| config.weight(*part)).sum();
        let mut found = Vec::new();
        let mut sum = 0.0;
        let parts = parts.into_iter().map(|(part, judged)| {
            let Some(judged) = judged else {
                let words = "it has no source: its weight is shared among the others";
                return PartScore {
                    part,
                    weight: 0.0,
                    score: None,
                    words: words.to_owned(),
                };
            };
            let share = if all > 0.0 {
                config.weight(part) / all
            } else {
                0.0
            };
            sum += judged.score * share;
            found.extend(judged.findings.into_iter().map(|finding| {
                let recommendation = Recommendation {
                    part,
                    points: finding.points * share,
                    words: finding.words,
                };
                (recommendation, finding.caps && share > 0.0)
            }));
            PartScore {
                part,
                weight: share * 100.0,
                score: Some(judged.score),
                words: judged.words,
            }
        });
        let parts: Vec<_> = parts.collect();
        let mut score = (all > 0.0).then_some(sum.clamp(0.0, 100.0));
        cap(&mut score, config.threshold() * CAP, &mut found);
        let costly = found
            .into_iter()
            .filter(|(one, caps)| *caps || one.points >= LEAST_POINTS);
        let mut recommendations: Vec<_> = costly.map(|(one, _)| one).collect();
        recommendations.sort_by(|a, b| b.points.total_cmp(&a.points));
        Self {
            score,
            threshold: config.threshold(),
            is_low: score.is_some_and(|score| score < config.threshold()),
            parts,
            services: Vec::new(),
            recommendations,
            #[cfg(feature = "system")]
            system: None,
        }
    }

    /// What a part comes to.
    pub fn part(&self, part: Part) -> Option<&PartScore> {
        self.parts.iter().find(|one| one.part == part)
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        if let Some(score) = self.score {
            sink.gauge("seawall_health_score", &[], score);
        }
        for part in &self.parts {
            if let Some(score) = part.score {
                let labels = [("part", part.part.as_str())];
                sink.gauge("seawall_health_part_score", &labels, score);
            }
        }
        for service in &self.services {
            let labels = [("check", service.name.as_str())];
            sink.gauge("seawall_health_service_score", &labels, service.score);
        }
    }
}
