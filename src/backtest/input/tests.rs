use proptest::prelude::*;
use tempfile::TempDir;

use super::grid::{Grid, Place};
use super::labels::Labels;
use super::*;
use crate::clock::{DurationMs, Timestamp};

fn folder(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    dir
}

fn names(inputs: &[Input]) -> Vec<&str> {
    inputs.iter().map(|input| input.name.as_str()).collect()
}

/// The message with the folder taken out.
fn plain<T: std::fmt::Debug>(result: Result<T>, dir: &TempDir) -> String {
    result.unwrap_err().chain().replace(&dir.path().display().to_string(), "DIR")
}

#[test]
fn files_are_found_wherever_they_are() {
    let dir =
        folder(&["b.CSV", "a/x.parquet", "a/deep/y.pq", ".hidden.csv", ".git/z.csv", "out/scores/b.csv", "out/more.csv", "a/notes.txt"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(dir.path(), dir.path().join("circle")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("b.CSV"), dir.path().join("link.csv")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("nowhere"), dir.path().join("broken.csv")).unwrap();
    }
    let found = find(dir.path(), &dir.path().join("out/../out/scores")).unwrap();
    assert_eq!(names(&found), ["a/deep/y.pq", "a/x.parquet", "b.CSV", "link.csv", "out/more.csv"]);
    assert_eq!(found[1].scores(), Path::new("a/x.csv"));
    let one = find(&dir.path().join("a/x.parquet"), Path::new("nowhere")).unwrap();
    assert_eq!(names(&one), ["x.parquet"]);
}

#[test]
fn nothing_to_judge_is_an_error() {
    let dir = folder(&["notes.txt", "twins/a.csv", "twins/a.parquet"]);
    let none = dir.path().join("none");
    std::fs::create_dir(&none).unwrap();
    let find = |name: &str| plain(find(&dir.path().join(name), Path::new("nowhere")), &dir);
    insta::assert_snapshot!(find("none"), @"--data: DIR/none holds no file whose name ends in .csv, .parquet or .pq");
    insta::assert_snapshot!(find("notes.txt"), @"--data: DIR/notes.txt is neither a folder nor a file whose name ends in .csv, .parquet or .pq");
    insta::assert_snapshot!(find("missing"), @"--data: DIR/missing cannot be read: No such file or directory (os error 2)");
    insta::assert_snapshot!(find("twins"), @"a.parquet: its scores would be written to a.csv, like those of a.csv; rename one");
}

fn labels(text: &str) -> Result<Labels> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels.json");
    std::fs::write(&path, text).unwrap();
    let input = |name: &str| Input { name: name.to_owned(), path: PathBuf::from(name) };
    let inputs = [input("a/x.csv"), input("b/x.csv"), input("y.csv")];
    Labels::read(&path, &inputs).map_err(|e| Error::new(e.code, e.chain().replace(&dir.path().display().to_string(), "DIR")))
}

#[test]
fn a_path_fits_by_its_end() {
    let read = labels(
        r#"{"a/x.csv": [["2014-04-11 00:00:00.000000", "2014-04-12 06:30:00"], ["2014-04-10T23:00:00Z", "2014-04-11 01:00:00"]],
            "./data/b/x.csv": [], "elsewhere/y.csv": [["2014-04-11", "2014-04-11"]], "z.csv": [], "ax.csv": []}"#,
    )
    .unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(read.of("a/x.csv").unwrap(), [(at("2014-04-10T23:00:00Z"), at("2014-04-12T06:30:00Z"))], "overlapping windows are one");
    assert_eq!(read.of("b/x.csv").unwrap(), []);
    assert_eq!(read.of("y.csv").unwrap(), [(at("2014-04-11T00:00:00Z"), at("2014-04-11T00:00:00Z"))]);
    assert_eq!(read.unused, ["ax.csv", "z.csv"]);
    assert_eq!(read.of("z.csv"), None);
}

#[test]
fn labels_that_make_no_sense_are_refused() {
    let fault = |text: &str| labels(text).unwrap_err().message;
    insta::assert_snapshot!(fault("[1, 2]"), @r#"--labels: DIR/labels.json is not of the form {"path/of/file.csv": [["2014-04-11 00:00:00", "2014-04-12 00:00:00"]]}: invalid type: sequence, expected a map at line 1 column 0"#);
    insta::assert_snapshot!(fault("not json"), @r#"--labels: DIR/labels.json is not of the form {"path/of/file.csv": [["2014-04-11 00:00:00", "2014-04-12 00:00:00"]]}: expected ident at line 1 column 2"#);
    insta::assert_snapshot!(fault(r#"{"y.csv": [["2014-04-11 00:00:00"]]}"#), @r#"--labels: DIR/labels.json is not of the form {"path/of/file.csv": [["2014-04-11 00:00:00", "2014-04-12 00:00:00"]]}: invalid length 1, expected a tuple of size 2 at line 1 column 34"#);
    insta::assert_snapshot!(fault(r#"{"y.csv": [["2014-04-11 00:00:00", "later"]]}"#), @"--labels: DIR/labels.json has `later` in window 1 of `y.csv`; a time such as 2014-04-11 00:00:00 or 2014-04-11T00:00:00Z belongs there");
    insta::assert_snapshot!(fault(r#"{"y.csv": [["2014-04-12 00:00:00", "2014-04-11 00:00:00"]]}"#), @"--labels: DIR/labels.json has a window 1 of `y.csv` that ends at 2014-04-11T00:00:00Z, before it begins at 2014-04-12T00:00:00Z");
    insta::assert_snapshot!(fault(r#"{"x.csv": []}"#), @"--labels: DIR/labels.json has a path `x.csv` that fits a/x.csv and b/x.csv; write more of it");
    insta::assert_snapshot!(fault(r#"{"y.csv": [], "data/y.csv": []}"#), @"--labels: DIR/labels.json has windows of y.csv under two paths, one of them `y.csv`");
    insta::assert_snapshot!(fault(r#"{"z.csv": []}"#), @"--labels: DIR/labels.json has no path that fits a file of --data: the first is `z.csv`; `a/x.csv` would fit");
    insta::assert_snapshot!(fault("{}"), @"--labels: DIR/labels.json has no path that fits a file of --data: it is empty; `a/x.csv` would fit");
    insta::assert_snapshot!(Labels::read(Path::new("/none.json"), &[]).unwrap_err().chain(), @"--labels: /none.json cannot be read: No such file or directory (os error 2)");
}

fn seconds(times: &[i64]) -> Vec<Timestamp> {
    times.iter().map(|s| Timestamp::from_millis(s * 1000)).collect()
}

fn places(times: &[i64]) -> (DurationMs, Vec<Place>) {
    let times = seconds(times);
    let mut grid = Grid::new(&times).unwrap();
    (grid.step(), times.iter().map(|time| grid.place(*time)).collect())
}

#[test]
fn rows_are_laid_on_their_step() {
    use Place::{Disordered, Free, Taken};
    let regular = places(&[0, 60, 120, 240, 245, 300, 420, 480, 540, 600]);
    let late = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10].map(Free).to_vec();
    assert_eq!(regular, (DurationMs::from_secs(60), late), "late by one for a while");
    assert_eq!(places(&[0, 60, 60, 120, 119, 180]).1, [Free(0), Free(1), Taken(1), Free(2), Disordered, Free(3)]);
    assert_eq!(
        places(&[0, 60, 61, 62, 63, 120, 180, 240, 300, 360, 420, 480, 540]).1[..6],
        [Free(0), Free(1), Free(2), Taken(2), Taken(2), Free(3)]
    );
    assert_eq!(places(&[0, 59, 121, 179]).1, [Free(0), Free(1), Free(2), Free(3)]);
    assert!(Grid::new(&seconds(&[5, 5, 5])).is_none() && Grid::new(&seconds(&[5])).is_none() && Grid::new(&[]).is_none());
}

#[test]
fn gaps_do_not_make_the_step_longer() {
    // Half of the distances are too long.
    let times: Vec<i64> = (0..100).map(|i| i * 60 + i / 2 * 600).collect();
    assert_eq!(Grid::new(&seconds(&times)).unwrap().step(), DurationMs::from_secs(60));
}

#[test]
fn what_comes_after_the_beginning_does_not_change_the_step() {
    let times: Vec<i64> = (0..61).map(|i| i * 60).chain((0..10_000).map(|i| 61 * 60 + i)).collect();
    assert_eq!(Grid::new(&seconds(&times)), Grid::new(&seconds(&times[..61])));
}

#[test]
fn a_row_in_another_century_is_too_far() {
    let mut grid = Grid::new(&seconds(&[0, 1, 2])).unwrap();
    for time in seconds(&[0, 1, 2]) {
        grid.place(time);
    }
    assert_eq!(grid.place(Timestamp::from_millis(4_000_000_000_000)), Place::TooFar(3_999_999_997));
    assert_eq!(grid.place(Timestamp::from_millis(1_000_000_000)), Place::Free(1_000_000), "but weeks without a row are only a gap");
}

proptest! {
    #[test]
    fn a_row_is_at_most_one_and_a_half_steps_from_its_place(distances in prop::collection::vec(1_i64..400, 2..200)) {
        let times: Vec<i64> = distances.iter().scan(0, |sum, d| { *sum += d; Some(*sum) }).collect();
        let times = seconds(&times);
        let mut grid = Grid::new(&times).unwrap();
        let (start, step) = (grid.start(), grid.step().millis());
        let mut free = 0;
        for time in &times {
            match grid.place(*time) {
                Place::Free(place) => {
                    prop_assert!(place >= free, "places are taken in order");
                    free = place + 1;
                    let off = (start.millis() + place as i64 * step) - time.millis();
                    prop_assert!(off * 2 <= 3 * step && -off * 2 <= step, "{off} of {step}");
                }
                Place::Taken(place) => prop_assert_eq!(place + 1, free),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
