"""Section 15 - position cases with video: does time count seconds, and what comes behind?"""

from collections.abc import Iterator

from qwen25vl.golden.case import Lab, Part, count_part
from qwen25vl.golden.cases.positions_prompt import image, one_prompt, video
from qwen25vl.golden.registry import case
from qwen25vl.language.mrope import later_positions


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T2", "T3", "T4", "T5"),
    kills=(
        "video-time-constant",
        "video-time-from-start",
        "video-time-by-row",
        "video-block-order",
        "text-after-by-sides",
    ),
    note="Two rows of time, 2 x 3, one frame per second, behind 15 of text: times 15 and 19, then text at 20. By "
    "the longer side it would go on at 18, below the second row.",
)
def text_behind_a_video_follows_its_last_second(lab: Lab) -> Iterator[Part]:
    """Rows of time lie as far apart as their seconds say, and text goes on behind the largest of the axes."""
    yield from one_prompt(lab, 15, video(2, 2, 3, fps=1.0), 2)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T5", "T6"),
    kills=("seconds-truncated-first", "time-rounded", "video-time-by-row"),
    note="8 rows at 1.5 frames per second: 0 2 5 8 10 13 16 18. Seconds that are cut first give 0 2 4 6, rounded "
    "steps 0 3 6 9. At 2, 1 and 0.5 frames per second nothing shows.",
)
def time_at_three_halves_is_cut_last(lab: Lab) -> Iterator[Part]:
    """Time is cut to whole positions behind both products, and nowhere before."""
    yield from one_prompt(lab, 3, video(8, 1, 2, fps=1.5), 1)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T5", "T6"),
    kills=("seconds-truncated-first", "video-time-constant"),
    note="8 rows at 4 frames per second: 0 to 7. Half a second cut first is 0, and all rows would have one time.",
)
def time_above_two_frames_per_second_does_not_stop(lab: Lab) -> Iterator[Part]:
    """Rows shorter than a second still advance."""
    yield from one_prompt(lab, 3, video(8, 2, 1, fps=4.0), 1)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T6",),
    kills=(),
    note="A control: one second a row. Cut first, cut last or rounded, time is 0 2 4 6.",
    flags=("blind",),
)
def time_at_two_frames_per_second_hides_the_order_of_steps(lab: Lab) -> Iterator[Part]:
    """At the usual rate every order of products and truncation gives the same time."""
    yield from one_prompt(lab, 3, video(8, 2, 1, fps=2.0), 1)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T3", "T5", "T6"),
    kills=("time-rounded", "video-time-by-row", "text-after-by-time"),
    note="8 rows at 24 frames per second: 0 0 0 0 0 0 1 1. Rows share a time, by design. A clip of up to 6 rows "
    "has one time in right and wrong code alike, and the text goes on behind its sides.",
)
def rows_of_a_fast_clip_share_a_time(lab: Lab) -> Iterator[Part]:
    """Above four frames per second neighbouring rows have one time, and text goes on behind the width."""
    yield from one_prompt(lab, 3, video(8, 1, 4, fps=24.0), 1)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T2", "T3", "T8"),
    kills=("picture-taken-for-video", "video-block-order", "still-time-scaled"),
    note="A picture, a video and a picture, all of different sizes, with text at both ends. Prompts of one kind "
    "of medium cannot show grids that go astray.",
)
def picture_video_picture_keep_their_grids(lab: Lab) -> Iterator[Part]:
    """Pictures and videos of one prompt are counted apart and laid out in the order of the prompt."""
    yield from one_prompt(lab, 4, image(2, 3), 2, video(3, 3, 2, fps=1.5), 2, image(4, 1), 3)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T5",),
    kills=("tokens-per-second-fixed",),
    note="25 positions per second and blocks of 3 x 3 patches, as no release has them: 0, 50 and 100 behind the "
    "start, text from 101 behind it on. The example of upstream's own documentation.",
)
def other_constants_give_other_positions(lab: Lab) -> Iterator[Part]:
    """Positions per second and the merge size are read from the config."""
    yield from one_prompt(lab, 3, video(3, 2, 2, fps=1.0), 2, merge_p=3, tokens_per_second=25)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T5", "T6"),
    kills=("time-products-joined",),
    note="25 positions and 25 frames per second: a row is two positions long, and in float32 the product for row "
    "5 lies just below 10, so its time is 9. With 2 positions per second, a power of two, every order of the "
    "products gives the same.",
)
def the_row_is_multiplied_by_its_seconds_first(lab: Lab) -> Iterator[Part]:
    """Time is the row times its seconds in float32, then times the positions per second."""
    yield from one_prompt(lab, 3, video(8, 1, 2, fps=25.0), 1, tokens_per_second=25)


@case(
    family="positions",
    tier="unit",
    section="09",
    clauses=("T7",),
    kills=("delta-missing", "text-after-by-sides"),
    note="A video whose time reaches far beyond its sides, then text. Index and position part at the medium; a "
    "prompt of text hides that the offset is left out.",
)
def an_answer_goes_on_behind_the_largest_position(lab: Lab) -> Iterator[Part]:
    """The token at index i behind the prompt has position i plus the offset, on all three axes."""
    length, delta, steps = 0, 0, 4
    yield count_part("inputs.steps", steps, "1", "tokens of the answer")
    for part in one_prompt(lab, 2, video(4, 2, 2, fps=0.5), 3):
        if part.id == "inputs.ids":
            length = len(part.array)
        if part.id == "outputs.delta":
            delta = int(part.array[0])
        yield part
    later = later_positions(length, steps, delta=delta)
    yield Part("outputs.later_positions", later, "3 steps", "positions of the first four tokens of an answer")
