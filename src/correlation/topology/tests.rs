use proptest::prelude::*;

use super::*;

fn call(caller: &str, callee: &str, source: CallSource) -> Call {
    Call { caller: caller.to_owned(), callee: callee.to_owned(), source }
}

fn graph(calls: &str) -> Topology {
    let calls = calls.split_whitespace().filter_map(|call| call.split_once('>'));
    Topology::new(calls.map(|(a, b)| call(a, b, CallSource::Measured))).unwrap()
}

#[test]
fn the_surer_source_stays_and_the_order_says_nothing() {
    let calls = [
        call("a", "b", CallSource::Learned),
        call("a", "b", CallSource::Configured),
        call("a", "b", CallSource::Measured),
        call("c", "c", CallSource::Measured),
        call("b", "c", CallSource::Learned),
    ];
    let topology = Topology::new(calls.clone()).unwrap();
    let expected = [call("a", "b", CallSource::Configured), call("b", "c", CallSource::Learned)];
    assert_eq!(topology.calls().collect::<Vec<_>>(), expected);
    assert_eq!(Topology::new(calls.into_iter().rev()).unwrap(), topology);
    assert!(topology.knows("c") && !topology.knows("d") && Topology::default().is_empty());
}

#[test]
fn nonsense_is_named() {
    let calls = [call("a", "b", CallSource::Measured), call(" ", &"x".repeat(300), CallSource::Measured)];
    let violations: Vec<String> = Topology::new(calls).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(violations, ["calls[1].caller: empty; name a service", "calls[1].callee: 300 bytes long; at most 256 are taken"]);
    let endless = (0..).map(|i: usize| call(&format!("s{i}"), "db", CallSource::Measured));
    assert_eq!(Topology::new(endless).unwrap_err()[0].description, "more than 200000; name fewer");
}

#[test]
fn distances_have_a_direction_and_an_end() {
    let topology = graph("a>b b>c x>c");
    for (from, to, along, expected) in [
        ("a", "c", Along::Calls, Some(2)),
        ("c", "a", Along::Calls, None),
        ("c", "a", Along::Callers, Some(2)),
        ("a", "x", Along::Either, Some(3)),
        ("a", "x", Along::Calls, None),
        ("a", "a", Along::Calls, Some(0)),
        ("a", "unknown", Along::Either, None),
    ] {
        assert_eq!(topology.distance(from, to, along), expected, "{from} {to} {along}");
    }
    let chain = (0..12).map(|i| format!(" s{i}>s{}", i + 1)).collect::<Vec<_>>().concat();
    assert_eq!(graph(&chain).distance("s0", "s8", Along::Calls), Some(8));
    assert_eq!(graph(&chain).distance("s0", "s9", Along::Calls), None);
}

#[test]
fn a_part_has_its_neighbours_and_a_bound() {
    let part = graph("gateway>a gateway>b a>db b>db b>mail mail>x").part(["a", "db", "unknown"]);
    assert_eq!((part.services, part.left_out), (vec!["a".to_owned(), "db".to_owned(), "unknown".to_owned()], 0));
    assert_eq!(part.neighbours, ["b", "gateway"]);
    let calls: Vec<String> = part.calls.iter().map(|c| format!("{}>{}", c.caller, c.callee)).collect();
    assert_eq!(calls, ["a>db", "b>db", "gateway>a"]);
    let many = (0..300).map(|i| format!(" s{i}>db")).collect::<Vec<_>>().concat();
    let part = graph(&many).part(["db"]);
    assert_eq!((part.services.len() + part.neighbours.len(), part.left_out, part.calls.len()), (MOST_IN_PART, 201, 99));
}

#[test]
fn a_call_of_a_hub_and_a_learned_one_weigh_less() {
    let weight = |topology: &Topology, of: &str| topology.neighbours(topology.find(of).unwrap()).next().unwrap().weight;
    let many = (0..32).map(|i| format!(" s{i}>db")).collect::<Vec<_>>().concat();
    assert_eq!(weight(&graph(&many), "s1"), 0.5);
    assert_eq!(weight(&graph("a>b"), "a"), 1.0);
    let learned = Topology::new([call("a", "b", CallSource::Learned)]).unwrap();
    assert_eq!(weight(&learned, "a"), 0.5);
}

proptest! {
    #[test]
    fn distances_are_the_shortest(edges in proptest::collection::vec((0..7_usize, 0..7_usize), 1..20)) {
        let calls = edges.iter().map(|(a, b)| call(&a.to_string(), &b.to_string(), CallSource::Measured));
        let topology = Topology::new(calls).unwrap();
        let mut shortest = [[99_usize; 7]; 7];
        for (a, b) in &edges {
            shortest[*a][*b] = 1;
        }
        let pairs = || (0..7_usize).flat_map(|a| (0..7_usize).map(move |b| (a, b)));
        for via in 0..7 {
            for (a, b) in pairs() {
                shortest[a][b] = shortest[a][b].min(shortest[a][via] + shortest[via][b]);
            }
        }
        for (a, b) in pairs().filter(|(a, b)| a != b) {
            let (x, y) = (a.to_string(), b.to_string());
            if topology.knows(&x) && topology.knows(&y) {
                let expected = Some(shortest[a][b]).filter(|d| *d < 99);
                prop_assert_eq!(topology.distance(&x, &y, Along::Calls), expected);
                prop_assert_eq!(topology.distance(&y, &x, Along::Callers), expected);
            }
        }
    }
}
