use std::pin::Pin;
use std::task::{Context, Waker};

use http::Response;
use http::header::AUTHORIZATION;
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// For a page.
const LIMIT: Duration = Duration::from_secs(10);
/// Until a reading has begun.
const WAIT: Duration = Duration::from_secs(30);

/// What was sent: what was asked for, when, and when the response came.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    uri: String,
    at: Instant,
    came: Option<Instant>,
}

/// A list of some pages, each of which takes its time.
#[derive(Clone)]
struct List {
    readings: Arc<Readings>,
    sent: Arc<Mutex<Vec<Sent>>>,
    pages: usize,
    takes: Duration,
}

impl List {
    fn new(at_once: u32, pages: usize) -> Self {
        Self {
            readings: Readings::new(at_once),
            sent: Arc::default(),
            pages,
            takes: SECOND,
        }
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    async fn send(&self, request: Request<Bytes>) -> Answer {
        let number = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(Sent {
                uri: request.uri().to_string(),
                at: Instant::now(),
                came: None,
            });
            sent.len() - 1
        };
        sleep(self.takes).await;
        self.sent.lock().unwrap()[number].came = Some(Instant::now());
        Ok(Response::new(Bytes::from(number.to_string())))
    }

    /// Reads all pages of `list`: which responses they were.
    async fn read(self, list: &'static str) -> Result<Vec<usize>, &'static str> {
        self.read_by(|page| get(&format!("/{list}?page={page}")))
            .await
    }

    async fn read_by(
        self,
        request: impl Fn(usize) -> Request<Bytes>,
    ) -> Result<Vec<usize>, &'static str> {
        let mut part = self.readings.take_part(&request(0), LIMIT);
        if !part.begun(WAIT).await {
            return Err("not begun");
        }
        let mut numbers = Vec::new();
        for page in 0..self.pages {
            let response = part.next_page(request(page), |request| self.send(request));
            match response.await {
                Ok(response) => {
                    let body = response.into_body();
                    numbers.push(std::str::from_utf8(&body).unwrap().parse().unwrap());
                }
                Err(Missed::Failed(TOO_LONG)) => return Err("out of time"),
                Err(other) => panic!("{other:?}"),
            }
        }
        Ok(numbers)
    }

    /// What was seen is what could have been seen alone.
    fn assert_as_if_alone(&self, list: &str, asked: Instant, pages: &[usize]) {
        assert_eq!(pages.len(), self.pages);
        let (all, mut before) = (self.sent.lock().unwrap(), asked);
        for (page, number) in pages.iter().enumerate() {
            let sent = &all[*number];
            assert_eq!(sent.uri, format!("/{list}?page={page}"));
            assert!(sent.at >= before, "{asked:?}: {sent:?}");
            before = sent.came.unwrap();
        }
    }

    /// Nothing is left of readings that are over.
    fn assert_idle(&self, at_once: usize) {
        assert!(self.readings.sequences().is_empty());
        assert_eq!(self.readings.permits.available_permits(), at_once);
    }
}

fn get(uri: &str) -> Request<Bytes> {
    Request::get(uri).body(Bytes::new()).unwrap()
}

fn poll(future: Pin<&mut impl Future>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    future.poll(&mut context).is_ready()
}

#[tokio::test(start_paused = true)]
async fn what_asks_at_one_moment_takes_part_in_one_reading() {
    let list = List::new(4, 3);
    let parts: Vec<_> = (0..50)
        .map(|_| tokio::spawn(list.clone().read("open")))
        .collect();
    for part in parts {
        assert_eq!(part.await.unwrap(), Ok(vec![0, 1, 2]));
    }
    let sent = list.sent();
    let pages: Vec<_> = sent.iter().map(|sent| &*sent.uri).collect();
    assert_eq!(pages, ["/open?page=0", "/open?page=1", "/open?page=2"]);
    list.assert_idle(4);
}

#[tokio::test(start_paused = true)]
async fn what_asks_while_a_reading_runs_takes_part_in_the_next_one() {
    for after in [1, 999, 1_001, 2_500] {
        let list = List::new(4, 3);
        let first = tokio::spawn(list.clone().read("open"));
        sleep(Duration::from_millis(after)).await;
        let asked = Instant::now();
        let later = [(); 2].map(|()| tokio::spawn(list.clone().read("open")));
        assert_eq!(first.await.unwrap(), Ok(vec![0, 1, 2]));
        for part in later {
            assert_eq!(part.await.unwrap(), Ok(vec![3, 4, 5]), "{after}");
        }
        assert!(list.sent()[3].at >= asked);
        assert_eq!(list.sent()[3].at, list.sent()[2].came.unwrap());
        list.assert_idle(4);
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_permit_still_takes_more_in() {
    let list = List::new(1, 2);
    let other = tokio::spawn(list.clone().read("closed"));
    sleep(SECOND / 2).await;
    let first = tokio::spawn(list.clone().read("open"));
    sleep(SECOND).await;
    let second = tokio::spawn(list.clone().read("open"));
    assert_eq!(other.await.unwrap(), Ok(vec![0, 1]));
    assert_eq!(first.await.unwrap(), Ok(vec![2, 3]));
    assert_eq!(second.await.unwrap(), Ok(vec![2, 3]));
    list.assert_idle(1);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_dropped_is_replaced_wherever_it_was() {
    for after in [0, 1, 500, 999, 1_000, 1_500, 2_999, 3_500] {
        for dropped in 0..3 {
            let list = List::new(2, 4);
            let parts: Vec<_> = (0..3)
                .map(|_| tokio::spawn(list.clone().read("open")))
                .collect();
            if after > 0 {
                sleep(Duration::from_millis(after)).await;
            }
            // The first ones are those that send.
            for part in &parts[..dropped] {
                part.abort();
            }
            for part in parts.into_iter().skip(dropped) {
                let pages = part.await.unwrap().unwrap();
                assert_eq!(pages.len(), 4);
                assert!(pages.is_sorted_by(|a, b| a < b), "{pages:?}");
            }
            let most = if dropped == 0 { 4 } else { 5 };
            assert!(list.sent().len() <= most, "{after}: {:?}", list.sent());
            list.assert_idle(2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_parts_may_be_dropped() {
    for after in [0, 1, 1_500] {
        let list = List::new(1, 4);
        let parts = [(); 3].map(|()| tokio::spawn(list.clone().read("open")));
        sleep(Duration::from_millis(after)).await;
        for part in parts {
            part.abort();
            assert!(part.await.unwrap_err().is_cancelled());
        }
        list.assert_idle(1);
        assert_eq!(
            list.clone().read("open").await.map(|pages| pages.len()),
            Ok(4)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_polled_no_more_holds_nobody_up_for_longer_than_a_reading() {
    for polls in 0..4 {
        let list = List::new(2, 2);
        let mut stuck = Box::pin(list.clone().read("open"));
        for _ in 0..polls {
            assert!(!poll(stuck.as_mut()));
        }
        let begun = Instant::now();
        let waits = tokio::spawn(list.clone().read("open"));
        sleep(SECOND).await;
        let asks_later = tokio::spawn(list.clone().read("open"));
        let waited = waits.await.unwrap();
        let later = asks_later.await.unwrap();
        assert_eq!(later.map(|pages| pages.len()), Ok(2), "{polls}");
        match polls {
            // It has not begun, so others do.
            0 | 1 => assert_eq!(waited, Ok(vec![0, 1])),
            // It has sent the first page; what asks afterwards begins when its time is over.
            _ => {
                assert_eq!(waited.map(|pages| pages.len()), Ok(2));
                assert!(Instant::now() - begun >= LIMIT);
            }
        }
        drop(stuck);
        list.assert_idle(2);
    }
}

#[tokio::test(start_paused = true)]
async fn parts_fail_in_time_with_the_one_that_sends_and_is_polled_no_more() {
    let list = List::new(2, 2);
    let mut stuck = Box::pin(list.clone().read("open"));
    let mut others = [(); 20].map(|()| Box::pin(list.clone().read("open")));
    assert!(!poll(stuck.as_mut()), "it takes part");
    for other in &mut others {
        assert!(!poll(other.as_mut()));
    }
    assert!(!poll(stuck.as_mut()), "it begins, and sends");
    assert_eq!(list.sent().len(), 1);
    let begun = Instant::now();
    for other in others.map(tokio::spawn) {
        assert_eq!(other.await.unwrap(), Err("out of time"));
    }
    assert_eq!(Instant::now() - begun, LIMIT);
    assert_eq!(list.sent().len(), 1, "none of them sends for a moment");
    // The one that comes back neither ends nor begins another one.
    let next = tokio::spawn(list.clone().read("open"));
    sleep(SECOND / 2).await;
    drop(stuck);
    let after = tokio::spawn(list.clone().read("open"));
    assert_eq!(next.await.unwrap(), Ok(vec![1, 2]));
    assert_eq!(after.await.unwrap(), Ok(vec![3, 4]));
    list.assert_idle(2);
}

#[tokio::test(start_paused = true)]
async fn all_fail_together_when_the_time_is_over() {
    let mut list = List::new(2, 3);
    list.takes = LIMIT + SECOND;
    let begun = Instant::now();
    let parts = [(); 20].map(|()| tokio::spawn(list.clone().read("open")));
    for part in parts {
        assert_eq!(part.await.unwrap(), Err("out of time"));
    }
    assert_eq!(Instant::now() - begun, LIMIT);
    assert_eq!(list.sent().len(), 1);
    list.assert_idle(2);
}

#[tokio::test(start_paused = true)]
async fn each_page_has_the_whole_limit() {
    let mut list = List::new(2, 3);
    list.takes = LIMIT - SECOND;
    let first = [(); 20].map(|()| tokio::spawn(list.clone().read("open")));
    sleep(SECOND).await;
    let second = [(); 20].map(|()| tokio::spawn(list.clone().read("open")));
    for part in first {
        assert_eq!(part.await.unwrap(), Ok(vec![0, 1, 2]));
    }
    for part in second {
        assert_eq!(part.await.unwrap(), Ok(vec![3, 4, 5]));
    }
    assert_eq!(list.sent()[3].at, list.sent()[2].came.unwrap());
    list.assert_idle(2);
}

#[tokio::test(start_paused = true)]
async fn without_a_permit_it_does_not_begin() {
    let list = List::new(1, 1);
    let readings = Arc::clone(&list.readings);
    let permit = readings.permits.acquire().await.unwrap();
    assert_eq!(list.clone().read("open").await, Err("not begun"));
    drop(permit);
    list.assert_idle(1);
    assert_eq!(list.clone().read("open").await, Ok(vec![0]));
}

#[tokio::test(start_paused = true)]
async fn requests_that_differ_are_not_shared() {
    let changes: [fn(&mut Request<Bytes>); 6] = [
        |request| *request.uri_mut() = "/open?symbol=A".parse().unwrap(),
        |request| *request.uri_mut() = "http://other/open".parse().unwrap(),
        |request| *request.method_mut() = http::Method::POST,
        |request| *request.body_mut() = Bytes::from("account=2"),
        |request| {
            let key = "other".parse().unwrap();
            _ = request.headers_mut().insert(AUTHORIZATION, key);
        },
        |request| _ = request.extensions_mut().insert(2_u8),
    ];
    for change in changes {
        let list = List::new(4, 2);
        let plain = |_: usize| get("/open");
        let changed = move |_: usize| {
            let mut request = get("/open");
            change(&mut request);
            request
        };
        let (a, b, c) = tokio::join!(
            list.clone().read_by(plain),
            list.clone().read_by(changed),
            list.clone().read_by(plain),
        );
        assert_eq!(a, c);
        assert!(
            a.unwrap()
                .iter()
                .all(|page| !b.as_ref().unwrap().contains(page))
        );
        assert_eq!(list.sent().len(), 4);
        list.assert_idle(4);
    }
    // Of requests with extensions none is like another one.
    let list = List::new(4, 2);
    let extended = |_: usize| {
        let mut request = get("/open");
        request.extensions_mut().insert(1_u8);
        request
    };
    let (a, b) = tokio::join!(
        list.clone().read_by(extended),
        list.clone().read_by(extended)
    );
    assert_ne!(a, b);
    assert_eq!(list.sent().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn those_that_go_on_in_another_way_share_no_more() {
    let list = List::new(4, 4);
    let on = |page: usize| get(&format!("/open?page={page}"));
    let off = |page: usize| match page {
        0 | 3 => get(&format!("/open?page={page}")),
        _ => get(&format!("/open?other={page}")),
    };
    let (a, b, c, d) = tokio::join!(
        list.clone().read_by(on),
        list.clone().read_by(off),
        list.clone().read_by(on),
        list.clone().read_by(off),
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((Ok(&a), Ok(&b)), (c.as_ref(), d.as_ref()));
    assert_eq!(a[0], b[0]);
    // Also where the ways meet again: what was sent before its own last page is too old for it.
    assert!(
        a[1..].iter().all(|page| !b[1..].contains(page)),
        "{a:?} {b:?}"
    );
    assert_eq!(list.sent().len(), 7);
    list.assert_idle(4);
}

#[test]
fn a_long_list_is_dropped_without_recursion() {
    let first = Arc::new(Page::of(Arc::new(Asked::by(&get("/")))));
    let mut last = Arc::clone(&first);
    for page in 0..200_000 {
        last = last.next(Asked::by(&get(&format!("/{page}"))));
    }
    drop(first);
    drop(last);
}

#[tokio::test(start_paused = true)]
async fn a_page_is_read_once_for_all_parts() {
    let list = List::new(1, 1);
    let read = AtomicBool::new(false);
    let part = async || {
        let mut part = list.readings.take_part(&get("/open"), LIMIT);
        assert!(part.begun(WAIT).await);
        let answer = part.next_page(get("/open"), |request| list.send(request));
        answer.await.unwrap();
        let listed = part.listed(|| {
            assert!(!read.swap(true, Relaxed));
            Some(Listed::Failed("in these words"))
        });
        assert!(matches!(
            listed.await,
            Some(Listed::Failed("in these words"))
        ));
    };
    tokio::join!(part(), part(), part());
    assert_eq!(list.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_result_is_counted_once() {
    let list = List::new(1, 1);
    let parts = [(); 3].map(|()| list.readings.take_part(&get("/open"), LIMIT));
    let counted = |answered: bool| parts.iter().filter(|part| part.counts(answered)).count();
    assert_eq!((counted(true), counted(false)), (1, 1));
    assert_eq!((counted(true), counted(false)), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_threads_too() {
    let mut list = List::new(2, 3);
    list.takes = Duration::from_millis(1);
    let mut asking = Vec::new();
    for number in 0..4_000_u64 {
        let (name, list) = (["open", "closed"][number as usize % 2], list.clone());
        asking.push(tokio::spawn(async move {
            let asked = Instant::now();
            let pages = list.clone().read(name).await;
            // On a busy machine some may be out of time.
            if let Ok(pages) = &pages {
                list.assert_as_if_alone(name, asked, pages);
            }
            pages.is_ok()
        }));
        match number % 50 {
            0 => sleep(Duration::from_millis(number % 3)).await,
            _ => tokio::task::yield_now().await,
        }
        // Some that asked a moment ago go away.
        let earlier = asking.len().checked_sub(1 + fastrand::usize(..200));
        if let Some(earlier) = earlier {
            asking[earlier].abort();
        }
    }
    let mut read = 0;
    for asks in asking {
        match asks.await {
            Ok(is_read) => read += usize::from(is_read),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
    }
    assert!(read > 0);
    list.assert_idle(2);
}

/// One that asks: when, for which list, and when it is dropped or polled no more.
#[derive(Clone, Debug)]
struct Asks {
    after: u64,
    list: usize,
    ends: Ends,
}

#[derive(Clone, Copy, Debug)]
enum Ends {
    No,
    Dropped(u64),
    PolledNoMore(u64),
}

fn asks() -> impl Strategy<Value = Asks> {
    let ends = prop_oneof![
        3 => Just(Ends::No),
        1 => (0..4_000_u64).prop_map(Ends::Dropped),
        1 => (0..4_000_u64).prop_map(Ends::PolledNoMore),
    ];
    let asks = (0..8_000_u64, 0..2_usize, ends);
    asks.prop_map(|(after, list, ends)| Asks { after, list, ends })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the others do, what one sees is what it could have seen alone.
    #[test]
    fn all_that_is_seen_was_sent_after_it_was_asked_for(
        all in prop::collection::vec(asks(), 1..20),
        at_once in 1..4_u32,
        takes in prop::sample::select(vec![1_u64, 300, 1_000, 4_000]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut list = List::new(at_once, 3);
            list.takes = Duration::from_millis(takes);
            let tasks: Vec<_> = all
                .iter()
                .map(|asks| tokio::spawn(ask(list.clone(), asks.clone())))
                .collect();
            let mut kept = Vec::new();
            for (task, asks) in tasks.into_iter().zip(&all) {
                let (asked, ended, result, stuck) = task.await.unwrap();
                kept.push(stuck);
                if let Some(Ok(pages)) = &result {
                    list.assert_as_if_alone(["open", "closed"][asks.list], asked, pages);
                }
                assert!(ended - asked <= WAIT + 3 * LIMIT + SECOND, "{asks:?}");
            }
            drop(kept);
            list.assert_idle(at_once as usize);
        });
    }
}

type Reading_ = Pin<Box<dyn Future<Output = Result<Vec<usize>, &'static str>> + Send>>;

async fn ask(
    list: List,
    asks: Asks,
) -> (
    Instant,
    Instant,
    Option<Result<Vec<usize>, &'static str>>,
    Option<Reading_>,
) {
    sleep(Duration::from_millis(asks.after)).await;
    let asked = Instant::now();
    let mut reading: Reading_ = Box::pin(list.read(["open", "closed"][asks.list]));
    let (result, stuck) = match asks.ends {
        Ends::No => (Some(reading.await), None),
        Ends::Dropped(after) => {
            let after = Duration::from_millis(after);
            (timeout(after, reading).await.ok(), None)
        }
        Ends::PolledNoMore(after) => {
            let after = Duration::from_millis(after);
            match timeout(after, reading.as_mut()).await {
                Ok(result) => (Some(result), None),
                Err(_) => (None, Some(reading)),
            }
        }
    };
    (asked, Instant::now(), result, stuck)
}
