"""Every file format gives the same records, and what is wrong in one is said in a sentence."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyarrow import parquet

from knowledge.base import TerminalError
from ranking.datasets import ADAPTERS, load_dataset
from ranking.datasets.movielens import load

NOON = datetime(2001, 1, 1, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())


def write(folder, **files):
    """Files by name, with `_` for the dot."""
    for name, text in files.items():
        path = folder / name.replace("_dat", ".dat").replace("_csv", ".csv").replace("_toml", ".toml")
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def million(tmp_path):
    return write(
        tmp_path,
        movies_dat="10::Heat (1995)::Action|Crime\n2::Jumanji (1995)::Children's\n",
        users_dat="7::F::25::12::98765\n",
        ratings_dat=f"7::10::4::{SECONDS}\n7::2::5::{SECONDS}\n",
    )


@pytest.fixture
def latest(tmp_path):
    return write(
        tmp_path,
        movies_csv='movieId,title,genres\r\n10,"Heat, The (1995)",Action|Crime\r\n2,Nameless,(no genres listed)\r\n',
        ratings_csv=f"userId,movieId,rating,timestamp\r\n9,10,3.5,{SECONDS}\r\n7,2,0.5,{SECONDS}\r\n",
    )


@pytest.fixture
def books(tmp_path):
    (tmp_path / "Amazon_Books.inter").write_text(
        f"user_id:token\titem_id:token\trating:float\ttimestamp:float\nA1\tB00X\t5.0\t{SECONDS}\nA1\t000Z\t2.0\t5\n"
    )
    (tmp_path / "Amazon_Books.item").write_text(
        "item_id:token\ttitle:token\tprice:float\tbrand:token\nB00X\tCafé\t\tActon\n", encoding="utf-8"
    )
    return tmp_path


def test_movielens_1m_tells_codes_as_words_and_no_zip_code(million):
    data = load_dataset("ml-1m", million)
    assert [(r.item_id, r.value, r.at) for r in data.ratings] == [("2", 5.0, NOON), ("10", 4.0, NOON)]
    assert data.items["10"].title == "Heat (1995)"
    assert data.items["10"].fields == {"genres": "Action, Crime", "year": "1995"}
    assert data.users["7"].fields == {"age": "25-34", "gender": "F", "occupation": "programmer"}


def test_movielens_latest_reads_quoted_titles_and_half_stars(latest):
    data = load_dataset("ml-latest", latest)
    assert [(r.user_id, r.value) for r in data.ratings] == [("7", 0.5), ("9", 3.5)]
    assert data.items["10"].title == "Heat, The (1995)"
    assert data.items["2"].fields == {"genres": ""}
    assert list(data.users) == ["7", "9"]


def test_amazon_books_keeps_a_book_that_has_no_title(books):
    data = load_dataset("amazon-books", books)
    assert [r.item_id for r in data.ratings] == ["000Z", "B00X"]
    assert (data.items["B00X"].title, data.items["B00X"].fields) == ("Café", {"brand": "Acton"})
    assert data.items["000Z"].title == ""
    assert data.users["A1"].fields == {}


def test_the_one_entrance_gives_movielens_100k_as_its_own_adapter_does(movielens_dir, movielens):
    assert load_dataset("ml-100k", movielens_dir) == movielens
    # RecBole's adapter reads the same ratings, with what it knows of titles and users.
    general = load_dataset("recbole", movielens_dir)
    assert general.ratings == movielens.ratings
    assert general.items["1"].title == "Toy Story"


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_empty_folder_is_said_in_a_sentence(name, tmp_path):
    with pytest.raises(TerminalError, match=r"missing|needs|no MovieLens") as caught:
        load_dataset(name, tmp_path)
    assert "\n" not in caught.value.message


def test_another_name_is_refused_with_those_that_there_are(tmp_path):
    with pytest.raises(TerminalError, match="use ml-100k, ml-1m") as caught:
        load_dataset("netflix", tmp_path)
    assert caught.value.reason == "no_dataset"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"7::10::4::{SECONDS}", "a second row of user 7 and item 10 at 2001-01-01T12:00:00"),
        (f"7::10::many::{SECONDS}", r"ratings.dat:3: rating 'many' is no number"),
        (f"7::10::nan::{SECONDS}", "rating 'nan' is not a finite number"),
        (f"7::99::4::{SECONDS}", r"ratings.dat:3: unknown user or item \['7', '99'\]"),
        (f"7::10::4::{SECONDS}000", "no time of an event: is the unit really 's'"),
        ("7::10::4", r"ratings.dat:3: 3 columns where 4 are needed"),
    ],
)
def test_a_bad_line_is_named(million, line, says):
    with (million / "ratings.dat").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(TerminalError, match=says) as caught:
        load_dataset("ml-1m", million)
    assert "\n" not in caught.value.message


def test_a_second_row_of_an_item_and_a_bad_code_and_a_bad_id_are_named(million):
    users, movies = million / "users.dat", million / "movies.dat"
    movies.write_text("10::Heat (1995)::Action\n10::Heat again::Action\n")
    with pytest.raises(TerminalError, match=r"movies.dat:2: a second row of item 10"):
        load_dataset("ml-1m", million)
    movies.write_text("1 0::Heat (1995)::Action\n")
    with pytest.raises(TerminalError, match="'1 0' is no item id"):
        load_dataset("ml-1m", million)
    movies.write_text("10::Heat (1995)::Action\n")
    users.write_text("7::F::26::12::98765\n")
    with pytest.raises(TerminalError, match="age '26'"):
        load_dataset("ml-1m", million)


def test_a_missing_column_is_named_with_those_that_are_there(latest, books):
    (latest / "ratings.csv").write_text("userId,movieId,stars,timestamp\n7,10,4,1\n")
    with pytest.raises(TerminalError, match="no column 'rating': it has userId, movieId, stars, timestamp"):
        load_dataset("ml-latest", latest)
    (latest / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,10,4\n")
    with pytest.raises(TerminalError, match=r"ratings.csv:2: 3 columns where 4 are named"):
        load_dataset("ml-latest", latest)
    (books / "Amazon_Books.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n")
    with pytest.raises(TerminalError, match="no column 'rating'"):
        load_dataset("amazon-books", books)


def test_two_data_sets_in_one_folder_are_not_mixed(books):
    (books / "other.inter").write_text("")
    with pytest.raises(TerminalError, match="needs one file"):
        load_dataset("amazon-books", books)


def test_movielens_100k_with_a_rating_twice_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "u.data").write_text("1\t1\t3\t881250949\n1\t1\t5\t881250949\n")
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n")
    (tmp_path / "u.item").write_text("1|Toy Story (1995)|01-Jan-1995||||" + "|0" * 18 + "\n")
    with pytest.raises(TerminalError, match=r"u\.data:2: a second row of user 1"):
        load(tmp_path)


def test_a_parquet_file_with_aware_times_gives_the_same_records(tmp_path):
    table = {
        "who": [7, 7],
        "what": ["b", "a"],
        "stars": [4, 2],
        "at": pa.array([NOON, NOON], pa.timestamp("us", "UTC")),
    }
    parquet.write_table(pa.table(table), tmp_path / "events.parquet")
    parquet.write_table(
        pa.table({"id": ["a", "b"], "name": ["A", "B"], "tags": [["x", "y"], []]}), tmp_path / "i.parquet"
    )
    write(
        tmp_path,
        map_toml='[events]\nfile = "events.parquet"\nuser = "who"\nitem = "what"\nvalue = "stars"\ntime = "at"\n'
        'time_unit = "iso"\n[items]\nfile = "i.parquet"\nitem = "id"\ntitle = "name"\nfields = { genres = "tags" }\n',
    )
    data = load_dataset(tmp_path / "map.toml", tmp_path)
    assert [(r.user_id, r.item_id, r.value, r.at) for r in data.ratings] == [
        ("7", "a", 2.0, NOON),
        ("7", "b", 4.0, NOON),
    ]
    assert [item.fields for item in data.items.values()] == [{"genres": "x, y"}, {}]
