//! scratch
mod wire;
use seawall_testkit::incident::*;
use seawall_testkit::provider::*;
use std::time::Duration;
use wire::*;
#[tokio::test(flavor = "multi_thread")]
async fn soak() {
    for _ in 0..2 {
        let run = Duration::from_secs(4);
        let script = Incidents::default_scenario().with_seed(1).scaled(run);
        let b = Broker::alpaca()
            .unlimited()
            .incidents(script.clone())
            .start()
            .await
            .expect("s");
        let a = AiApi::open_ai()
            .unlimited()
            .incidents(script.clone())
            .start()
            .await
            .expect("s");
        let m = MarketData::alpaca()
            .unlimited()
            .incidents(script.clone())
            .start()
            .await
            .expect("s");
        let client = Client::new();
        let start = tokio::time::Instant::now();
        let mut set = tokio::task::JoinSet::new();
        for w in 0..8 {
            let (c, bb, ab, mb) = (client.clone(), b.base_url(), a.base_url(), m.base_url());
            set.spawn(async move {
                let mut n = 0;
                let mut kinds = std::collections::BTreeMap::new();
                while tokio::time::Instant::now() - start < run {
                    n += 1;
                    let id = format!("{w}-{n}");
                    for _ in 0..3 {
                        let r = tokio::time::timeout(Duration::from_millis(300), c.order(&bb, &id))
                            .await;
                        let k = match &r {
                            Err(_) => "timeout".to_owned(),
                            Ok(Ok(a)) => a.status.to_string(),
                            Ok(Err(e)) => {
                                format!("{:?} {}", e.kind(), matches!(e, Broken::Call(_)))
                            }
                        };
                        let ok = k.starts_with("200");
                        *kinds.entry(k).or_insert(0) += 1;
                        if ok {
                            break;
                        }
                    }
                    let _ = tokio::time::timeout(
                        Duration::from_millis(300),
                        c.post(
                            format!("{ab}/v1/chat/completions"),
                            &prompt("hi", n % 2 == 0),
                        ),
                    )
                    .await;
                    let _ = tokio::time::timeout(
                        Duration::from_millis(300),
                        c.get(format!("{mb}/v2/stocks/A/quotes/latest")),
                    )
                    .await;
                }
                kinds
            });
        }
        for k in set.join_all().await.into_iter().take(2) {
            println!("{k:?}");
        }
        let dup = b.executions_by_id().values().filter(|n| **n > 1).count();
        println!(
            "dups {dup}\n{:?}\n{:?}\n{:?}",
            b.stats(),
            a.stats(),
            m.stats()
        );
    }
}
