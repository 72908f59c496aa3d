//! Feedback, in every store.

use super::*;
use crate::feedback::{Feedback, Given, Verdict};

pub fn feedback(n: i64) -> Feedback {
    let given = Given {
        incident: String::new(),
        verdict: Verdict::Noise,
        cause: None,
        suggestion: None,
        comment: "every Sunday".to_owned(),
        author: format!("a{n}"),
    };
    Feedback::of(given, &incident(&format!("i-{}", n % 2), 0, Some(9)), at(n / 3))
}

pub async fn feedback_is_kept_listed_and_taken_back(store: Store) {
    let mut all: Vec<Feedback> = (0..12).map(feedback).collect();
    store.put_feedback(&all).await.unwrap();
    all[3].undone_at = Some(at(20));
    store.put_feedback(&all[3..4]).await.unwrap();
    assert_eq!(store.one_feedback(&all[3].id).await.unwrap().as_ref(), Some(&all[3]));
    assert_eq!(store.one_feedback("fb-none").await.unwrap(), None);
    all.sort_by(|a, b| (b.given_at, &b.id).cmp(&(a.given_at, &a.id)));

    let pages = async |filter: FeedbackFilter| {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = store.feedback(&filter, 5, &token).await.unwrap();
            found.extend(page.items);
            match page.next {
                Some(next) => token = next,
                None => return found,
            }
        }
    };
    assert_eq!(pages(FeedbackFilter::default()).await, all);
    let of_one = FeedbackFilter { incident: Some("i-1".to_owned()), in_force: true };
    let expected: Vec<Feedback> = all.iter().filter(|f| f.incident == "i-1" && f.is_in_force()).cloned().collect();
    assert_eq!((pages(of_one.clone()).await, expected.len()), (expected, 5));
    let token = store.feedback(&of_one, 2, "").await.unwrap().next.unwrap();
    assert_eq!(store.feedback(&FeedbackFilter::default(), 2, &token).await.unwrap_err().code, Code::InvalidArgument);
    let in_force = store.feedback_in_force().await.unwrap();
    assert_eq!(in_force.len(), 11);
    assert!(in_force.windows(2).all(|pair| (pair[0].given_at, &pair[0].id) < (pair[1].given_at, &pair[1].id)));
}

pub async fn feedback_outlives_its_incident_and_the_oldest_makes_room(store: Store) {
    store.commit(&Change { incidents: vec![incident("i-0", 0, Some(9))], ..Change::default() }).await.unwrap();
    let all: Vec<Feedback> = (0..9).map(feedback).collect();
    store.put_feedback(&all).await.unwrap();
    assert_eq!(store.prune(at(100)).await.unwrap().incidents, 1);
    assert_eq!(store.feedback_in_force().await.unwrap().len(), 9);
    store.put_feedback_of(&[feedback(30)], 4).await.unwrap();
    let left = store.feedback(&FeedbackFilter::default(), 0, "").await.unwrap().items;
    assert_eq!((left.len(), left[0].given_at), (4, at(10)));
}
