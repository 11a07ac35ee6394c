/* A port of two steps of Qwen2.5-VL in plain C, written from spec/07-windows.md and spec/09-mrope.md: the order of
   tokens in windows, and the three positions of each token. It shows how a program in another language is checked:

       port CASE OUT    reads CASE/bin, computes, writes a dump into the directory OUT

   Exit code 77 says that it does not do a case. -DFAULT=1 and -DFAULT=2 plant a fault that the checker must find. */

#include "bin.h"

#ifndef FAULT
#define FAULT 0 /* 1: the order of windows is taken for its inverse; 2: seconds are cut before the product */
#endif

enum { SKIPPED = 77, MERGE_P = 2, PADDED_POSITION = 1 };

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* -------------------------------------------------------------------------------- section 07: window order */

/* Fills `order` and `starts` (in patches), returns the number of windows. Clauses W1 to W3. */
static int64_t windows(const int64_t *grids, int64_t media, int64_t window_m, int64_t *order, int64_t *starts) {
    int64_t tokens = 0, found = 0, first = 0; /* first: number of the frame's first token */
    starts[0] = 0;
    for (int64_t m = 0; m < media; m++) {
        int64_t Hm = grids[3 * m + 1] / MERGE_P, Wm = grids[3 * m + 2] / MERGE_P;
        for (int64_t t = 0; t < grids[3 * m]; t++, first += Hm * Wm)
            for (int64_t top = 0; top < Hm; top += window_m)
                for (int64_t left = 0; left < Wm; left += window_m) {
                    for (int64_t row = top; row < smaller(top + window_m, Hm); row++)
                        for (int64_t column = left; column < smaller(left + window_m, Wm); column++)
                            order[tokens++] = first + row * Wm + column;
                    starts[++found] = tokens * MERGE_P * MERGE_P;
                }
    }
    return found;
}

static void window_case(const Case *in, Dump *dump) {
    const Tensor *given = needed(in, "inputs.grids", "");
    int64_t *grids = integers(in, given), media = given->shape[0];
    int64_t window_m = *integers(in, needed(in, "inputs.window_m", ""));
    int64_t tokens = 0, frames = 0;
    if (given->sides != 2 || given->shape[1] != 3 || window_m < 1) fail("windows of such grids make no sense");
    for (int64_t m = 0; m < media; m++) {
        tokens += grids[3 * m] * (grids[3 * m + 1] / MERGE_P) * (grids[3 * m + 2] / MERGE_P);
        frames += grids[3 * m];
    }

    int64_t *order = room(tokens, sizeof *order), *place = room(tokens, sizeof *place);
    int64_t *starts = room(tokens + 1, sizeof *starts), *frame_starts = room(frames + 1, sizeof *frame_starts);
    int64_t ends = windows(grids, media, window_m, order, starts) + 1, frame = 0;
    for (int64_t i = 0; i < tokens; i++) place[order[i]] = i;
    for (int64_t m = 0; m < media; m++) /* W6 */
        for (int64_t t = 0; t < grids[3 * m]; t++, frame++)
            frame_starts[frame + 1] = frame_starts[frame] + grids[3 * m + 1] * grids[3 * m + 2];

    put(dump, "vision.window_order", "", 1, &tokens, FAULT == 1 ? place : order);
    put(dump, "vision.window_starts", "", 1, &ends, starts);
    put(dump, "vision.frame_starts", "", 1, (int64_t[]){frames + 1}, frame_starts);
    put(dump, "outputs.place", "", 1, &tokens, place);
}

/* ----------------------------------------------------------------------------------------- section 09: MRoPE */

typedef struct {
    int64_t pad_id, merge_p, tokens_per_second, count, used;
    const int64_t *grids;
    const double *second_per_grid; /* NULL for pictures */
} Media;

/* Time of row t, both products in float32, cut behind the second. Clauses T5 and T6. */
static int64_t time_of(const Media *media, int64_t t) {
    if (media->second_per_grid == NULL) return 0;
    float second_per_grid = (float)media->second_per_grid[media->used];
    if (FAULT == 2) second_per_grid = (float)(int64_t)second_per_grid;
    float seconds = (float)t * second_per_grid;
    float positions = seconds * (float)media->tokens_per_second;
    return (int64_t)positions;
}

/* Gives a run of pads its positions, `axis` apart for the three axes, and returns how many pads it took. */
static int64_t block_positions(Media *media, const int64_t *ids, int64_t left, int64_t start, int64_t *out,
                               int64_t axis) {
    if (media->used == media->count) fail("there is a pad %" PRId64 " without a grid", media->pad_id);
    const int64_t *grid = media->grids + 3 * media->used;
    int64_t T = grid[0], Hm = grid[1] / media->merge_p, Wm = grid[2] / media->merge_p, i = 0;
    if (T * Hm * Wm < 1 || T * Hm * Wm > left) fail("a run of pads does not fit its grid");
    for (int64_t t = 0; t < T; t++)
        for (int64_t h = 0; h < Hm; h++)
            for (int64_t w = 0; w < Wm; w++, i++) { /* T4 */
                if (ids[i] != media->pad_id) fail("a run of pads ends before its grid does");
                out[i] = start + time_of(media, t);
                out[axis + i] = start + h;
                out[2 * axis + i] = start + w;
            }
    media->used++; /* T8 */
    return i;
}

/* Positions of one row without padding, [3, length]; returns one more than the largest of them. */
static int64_t row_positions(const int64_t *ids, int64_t length, Media media[2], int64_t *out) {
    int64_t start = 0, i = 0;
    while (i < length) {
        int64_t end = i + 1, first = start; /* T2, T3: start is one more than the largest so far, on any axis */
        Media *medium = ids[i] == media[0].pad_id ? &media[0] : ids[i] == media[1].pad_id ? &media[1] : NULL;
        if (medium != NULL)
            end = i + block_positions(medium, ids + i, length - i, first, out + i, length);
        else
            out[i] = out[length + i] = out[2 * length + i] = first; /* T1 */
        for (; i < end; i++)
            for (int axis = 0; axis < 3; axis++) start = larger(start, out[axis * length + i] + 1);
    }
    return start;
}

/* Positions of a batch, [3, B, L], and what the index of a later token lacks to its position, [B]. */
static void mrope(const int64_t *ids, const int64_t *mask, int64_t B, int64_t L, Media media[2], int64_t *positions,
                  int64_t *delta) {
    int64_t *at = room(L, sizeof *at), *real = room(L, sizeof *real), *found = room(3 * L, sizeof *found);
    for (int64_t i = 0; i < 3 * B * L; i++) positions[i] = PADDED_POSITION; /* T9 */
    for (int64_t b = 0; b < B; b++) {
        int64_t length = 0;
        for (int64_t i = 0; i < L; i++)
            if (mask == NULL || mask[b * L + i]) {
                real[length] = ids[b * L + i];
                at[length++] = i;
            }
        delta[b] = row_positions(real, length, media, found) - L; /* T7: against the padded length */
        for (int64_t i = 0; i < 3 * length; i++) positions[(i / length * B + b) * L + at[i % length]] = found[i];
    }
    if (media[0].used < media[0].count || media[1].used < media[1].count) fail("there are grids without pads");
}

static void position_case(const Case *in, Dump *dump, const char *suffix) {
    const Tensor *given = needed(in, "inputs.ids", suffix), *masked = find(in, "inputs.mask", suffix);
    const Tensor *image_grids = needed(in, "inputs.image_grids", "");
    const Tensor *video_grids = needed(in, "inputs.video_grids", "");
    const int64_t *constants = integers(in, needed(in, "inputs.constants", ""));
    int64_t B = given->sides == 2 ? given->shape[0] : 1, L = given->shape[given->sides - 1];
    Media media[2] = {
        {constants[0], constants[2], constants[3], image_grids->shape[0], 0, integers(in, image_grids), NULL},
        {constants[1], constants[2], constants[3], video_grids->shape[0], 0, integers(in, video_grids),
         reals(in, needed(in, "inputs.second_per_grid", ""))},
    };

    int64_t *positions = room(3 * B * L, sizeof *positions), *delta = room(B, sizeof *delta);
    int64_t *mask = masked == NULL ? NULL : integers(in, masked);
    mrope(integers(in, given), mask, B, L, media, positions, delta);
    if (given->sides == 2)
        put(dump, "outputs.positions", suffix, 3, (int64_t[]){3, B, L}, positions);
    else
        put(dump, "language.positions", suffix, 2, (int64_t[]){3, L}, positions);
    put(dump, "outputs.delta", suffix, 1, &B, delta);

    const Tensor *later = find(in, "outputs.later_positions", suffix);
    if (later == NULL) return;
    int64_t steps = later->shape[1], *answer = room(3 * steps, sizeof *answer);
    for (int64_t i = 0; i < 3 * steps; i++) answer[i] = L + i % steps + delta[0]; /* T7 */
    put(dump, "outputs.later_positions", suffix, 2, (int64_t[]){3, steps}, answer);
}

int main(int count, char **words) {
    static const char *const suffixes[] = {"", "_left", "_right"};
    if (count != 3) fail("usage: port CASE OUT");
    Case in = read_case(words[1]);
    int has_windows = find(&in, "inputs.window_m", "") != NULL;
    int has_positions = find(&in, "inputs.constants", "") != NULL;
    if (!has_windows && !has_positions) return SKIPPED;

    Dump dump = {opened(words[2], "index.txt", "w"), opened(words[2], "data.bin", "wb"), 0};
    if (has_windows) window_case(&in, &dump);
    for (int i = 0; has_positions && i < 3; i++)
        if (find(&in, "inputs.ids", suffixes[i]) != NULL) position_case(&in, &dump, suffixes[i]);
    finish(&dump);
    return 0;
}
