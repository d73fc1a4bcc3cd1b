/* faults.c - two memories of a picture, a short and a long one, and rules on their differences. */
#include "drift/faults.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS (DRIFT_BLOCKS_X * DRIFT_BLOCKS_Y)

/* Memories. */
#define EDGES_S 2.0
#define DETAIL_S 4.0
#define LONG_S 120.0
#define CHECK_US 1000000

/* BLIND. Of the town under all weathers cell luma deviates by 0.05 and more. */
#define FLAT_BELOW 0.012
#define FLAT_S 3
#define SAME_S 10
#define SEEING_S 2

/* DIRTY: detail above noise, as |log|; blocks with less than DETAIL_MIN have none to lose. */
#define DETAIL_MIN 0.006f
#define DETAIL_OF_NOISE 0.5f /* less cannot be told from it */
#define DETAIL_FLOOR 0.003f
#define LOST_BELOW (-0.8f)
#define DARK_BELOW 0.2f    /* luma */
#define DIMMED_BELOW 0.75f /* of what is usual there */
#define KEPT_PART 0.3f     /* a block has less than what it keeps for so much of the time */
#define KEPT_STEP 1.0f     /* how fast that is learned, as |log|, for one of the long memory */
#define REGION_BLOCKS 3
#define OTHERS_MAX 0.1
#define OTHERS_P80_MAX 0.25
#define DIRTY_S 10
#define CLEAN_S 10

/* VIEW. */
#define MATCH_LOW 0.55
#define SHIFT_GAIN 0.04
#define SHIFT_MIN 2
#define SHIFTS_X 8 /* coarse cells either way */
#define SHIFTS_Y 5
#define MOVED_S 3
#define DOUBT_MAX_S 15

static uint64_t seconds(double s)
{
    return (uint64_t)(s * 1e6);
}

static double span_s(uint64_t since_us, uint64_t now_us)
{
    return (double)(now_us - since_us) * 1e-6;
}

/* Whether it has held for hold_s. */
static bool lasts(struct drift_lasting *l, bool holds, uint64_t now_us, double hold_s)
{
    if (holds && !l->on)
        l->since_us = now_us;
    l->on = holds;
    return holds && now_us - l->since_us >= seconds(hold_s);
}

void drift_faults_init(struct drift_faults *f)
{
    memset(f, 0, sizeof *f);
}

/* ---- what a picture is made of ---- */

static double flatness(const struct drift_picture *p)
{
    double sum = 0, squares = 0;
    int n = DRIFT_CELLS_X * DRIFT_CELLS_Y;
    const float *luma = &p->luma[0][0];
    for (int i = 0; i < n; i++) {
        sum += (double)luma[i];
        squares += (double)luma[i] * (double)luma[i];
    }
    return sqrt(fmax(squares / n - sum / n * (sum / n), 0));
}

/* Square roots, so that a few strong edges do not say everything. */
static float edge_at(const struct drift_picture *p, int x, int y)
{
    float here = p->luma[y][x];
    float right = x + 1 < DRIFT_CELLS_X ? fabsf(p->luma[y][x + 1] - here) : 0;
    float down = y + 1 < DRIFT_CELLS_Y ? fabsf(p->luma[y + 1][x] - here) : 0;
    return sqrtf(right + down);
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float noise_of(const struct drift_picture *p)
{
    float fine[BLOCKS];
    memcpy(fine, p->fine, sizeof fine);
    qsort(fine, BLOCKS, sizeof *fine, compare);
    return fine[BLOCKS / 10];
}

static void blend(float *memory, float value, float rate)
{
    *memory += (value - *memory) * rate;
}

/* ---- memories ---- */

static void remember_edges(struct drift_faults *f, const struct drift_picture *p, float rate,
                           float rate_long)
{
    for (int y = 0; y < DRIFT_CELLS_Y; y++)
        for (int x = 0; x < DRIFT_CELLS_X; x++) {
            float e = edge_at(p, x, y);
            blend(&f->edges_now[y][x], e, rate);
            blend(&f->edges_long[y][x], e, rate_long);
        }
    for (int i = 0; i < DRIFT_FEATURES; i++) {
        blend(&f->light_now[i], p->feature[i], rate);
        blend(&f->light_long[i], p->feature[i], rate_long);
    }
}

/* Mean luma of a block. */
static float shine_of(const struct drift_picture *p, int x, int y)
{
    const int side = DRIFT_CELLS_X / DRIFT_BLOCKS_X;
    float sum = 0;
    for (int i = 0; i < side * side; i++)
        sum += p->luma[side * y + i / side][side * x + i % side];
    return sum / (float)(side * side);
}

/* Towards the lowest KEPT_PART: a little up for each moment above it, more down for one below. */
static void learn_kept(float *kept, float now, float rate)
{
    float part = now < *kept ? KEPT_PART - 1 : KEPT_PART;
    if (rate < 1)
        *kept = fmaxf((*kept + DETAIL_FLOOR) * expf(KEPT_STEP * rate * part) - DETAIL_FLOOR, 0);
    else
        *kept = now;
}

/* A window, a lamp or headlights that are gone take the detail that they showed with them; what is
 * left is all that the block keeps. Dirt hardly dims. */
static bool went_dark(const struct drift_faults *f, int y, int x)
{
    float now = f->shine_now[y][x];
    return now < DARK_BELOW && now < f->shine_long[y][x] * DIMMED_BELOW;
}

static void remember_detail(struct drift_faults *f, const struct drift_picture *p, float rate,
                            float rate_long)
{
    float noise = noise_of(p);
    blend(&f->noise, noise, rate);
    for (int y = 0; y < DRIFT_BLOCKS_Y; y++)
        for (int x = 0; x < DRIFT_BLOCKS_X; x++) {
            float fine = p->fine[y][x];
            float detail = sqrtf(fmaxf(fine * fine - noise * noise, 0));
            float shine = shine_of(p, x, y);
            blend(&f->shine_now[y][x], shine, rate);
            blend(&f->detail_now[y][x], detail, rate);
            blend(&f->detail_long[y][x], detail, rate_long);
            learn_kept(&f->detail_kept[y][x], f->detail_now[y][x], rate_long);
            blend(&f->shine_long[y][x], shine, rate_long);
            if (went_dark(f, y, x))
                f->detail_kept[y][x] = fminf(f->detail_kept[y][x], f->detail_now[y][x]);
        }
}

/* Until it is LONG_S old a memory is the plain mean of what there was. */
static float long_rate(const struct drift_faults *f, double dt_s, uint64_t now_us)
{
    double age_s = span_s(f->first_us, now_us) + dt_s;
    return (float)(1 - exp(-dt_s / fmin(fmax(age_s, dt_s), LONG_S)));
}

static void start(struct drift_faults *f, const struct drift_picture *p, uint64_t now_us)
{
    struct drift_lasting none = {0};
    f->started = true;
    f->first_us = f->checked_us = now_us;
    f->moved = f->spoilt = f->clean = none;
    f->doubt_us = 0;
    remember_edges(f, p, 1, 1);
    remember_detail(f, p, 1, 1);
}

/* While a move is in doubt the background waits, and so does the detail where it was lost. */
static void remember(struct drift_faults *f, const struct drift_picture *p, uint64_t now_us)
{
    double dt_s = span_s(f->last_us, now_us);
    float rate_long = f->doubt_us ? 0 : long_rate(f, dt_s, now_us);
    bool spoilt = f->state == DRIFT_DIRTY || f->spoilt.on;
    remember_edges(f, p, (float)(1 - exp(-dt_s / EDGES_S)), rate_long);
    remember_detail(f, p, (float)(1 - exp(-dt_s / DETAIL_S)), spoilt ? 0 : rate_long);
}

/* ---- moved ---- */

struct sums {
    double a, b, aa, bb, ab;
    int n;
};

static void add_pair(struct sums *s, double a, double b)
{
    s->a += a;
    s->b += b;
    s->aa += a * a;
    s->bb += b * b;
    s->ab += a * b;
    s->n++;
}

static double correlation(const struct sums *s)
{
    double n = s->n, ab = s->ab - s->a * s->b / n;
    double aa = s->aa - s->a * s->a / n, bb = s->bb - s->b * s->b / n;
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static double match_in_place(const struct drift_faults *f)
{
    struct sums s = {0};
    for (int y = 0; y < DRIFT_CELLS_Y; y++)
        for (int x = 0; x < DRIFT_CELLS_X; x++)
            add_pair(&s, (double)f->edges_now[y][x], (double)f->edges_long[y][x]);
    return correlation(&s);
}

static void halve(float from[DRIFT_CELLS_Y][DRIFT_CELLS_X],
                  float to[DRIFT_COARSE_Y][DRIFT_COARSE_X])
{
    for (int y = 0; y < DRIFT_COARSE_Y; y++)
        for (int x = 0; x < DRIFT_COARSE_X; x++)
            to[y][x] = from[2 * y][2 * x] + from[2 * y][2 * x + 1] + from[2 * y + 1][2 * x] +
                       from[2 * y + 1][2 * x + 1];
}

static double match_shifted(float now[DRIFT_COARSE_Y][DRIFT_COARSE_X],
                            float before[DRIFT_COARSE_Y][DRIFT_COARSE_X], int dx, int dy)
{
    struct sums s = {0};
    for (int y = 0; y < DRIFT_COARSE_Y; y++)
        for (int x = 0; x < DRIFT_COARSE_X; x++) {
            int fx = x + dx, fy = y + dy;
            if (fx >= 0 && fx < DRIFT_COARSE_X && fy >= 0 && fy < DRIFT_COARSE_Y)
                add_pair(&s, (double)now[fy][fx], (double)before[y][x]);
        }
    return correlation(&s);
}

/* The best shift, and by how much it beats none: at half resolution both. */
static double find_shift(struct drift_faults *f)
{
    float now[DRIFT_COARSE_Y][DRIFT_COARSE_X], before[DRIFT_COARSE_Y][DRIFT_COARSE_X];
    halve(f->edges_now, now);
    halve(f->edges_long, before);
    double in_place = match_shifted(now, before, 0, 0), best = in_place;
    f->now.shift_x = f->now.shift_y = 0;
    for (int dy = -SHIFTS_Y; dy <= SHIFTS_Y; dy++)
        for (int dx = -SHIFTS_X; dx <= SHIFTS_X; dx++) {
            double m = match_shifted(now, before, dx, dy);
            if (m > best) {
                best = m;
                f->now.shift_x = 2 * dx;
                f->now.shift_y = 2 * dy;
            }
        }
    f->now.shifted = best;
    return best - in_place;
}

static bool is_within(float now, float before, float low, float high)
{
    return now >= before * low && now <= before * high;
}

static bool light_stayed(const struct drift_faults *f)
{
    const float *now = f->light_now, *before = f->light_long;
    return fabsf(now[DRIFT_LUMA] - before[DRIFT_LUMA]) < 0.08f &&
           is_within(now[DRIFT_CONTRAST], before[DRIFT_CONTRAST], 0.75f, 1.35f) &&
           is_within(now[DRIFT_EDGES], before[DRIFT_EDGES], 0.7f, 1.45f) &&
           is_within(now[DRIFT_SHARPNESS], before[DRIFT_SHARPNESS], 0.85f, 1.18f);
}

static bool looks_moved(struct drift_faults *f)
{
    if (f->now.match >= MATCH_LOW)
        return false;
    double gain = find_shift(f);
    bool shifted = abs(f->now.shift_x) + abs(f->now.shift_y) >= SHIFT_MIN && gain >= SHIFT_GAIN;
    return shifted || light_stayed(f);
}

/* ---- spoilt ---- */

/* The blocks beside a block; -1 outside of the picture. */
static void neighbours(int at, int ret[4])
{
    int x = at % DRIFT_BLOCKS_X, y = at / DRIFT_BLOCKS_X;
    ret[0] = x > 0 ? at - 1 : -1;
    ret[1] = x + 1 < DRIFT_BLOCKS_X ? at + 1 : -1;
    ret[2] = y > 0 ? at - DRIFT_BLOCKS_X : -1;
    ret[3] = y + 1 < DRIFT_BLOCKS_Y ? at + DRIFT_BLOCKS_X : -1;
}

/* Blocks of the region at `at`, which are taken off the map. */
static int flood(bool lost[BLOCKS], int at)
{
    int stack[BLOCKS], top = 0, count = 0, next[4];
    lost[at] = false;
    stack[top++] = at;
    while (top > 0) {
        neighbours(stack[--top], next);
        count++;
        for (int i = 0; i < 4; i++)
            if (next[i] >= 0 && lost[next[i]]) {
                lost[next[i]] = false;
                stack[top++] = next[i];
            }
    }
    return count;
}

static int largest_region(const bool lost[BLOCKS])
{
    bool left[BLOCKS];
    int largest = 0;
    memcpy(left, lost, sizeof left);
    for (int i = 0; i < BLOCKS; i++) {
        int size = left[i] ? flood(left, i) : 0;
        largest = size > largest ? size : largest;
    }
    return largest;
}

/* A spot ends softly: what is beside it is not counted with the rest. */
static bool is_beside(const bool lost[BLOCKS], int at)
{
    int next[4];
    neighbours(at, next);
    for (int i = 0; i < 4; i++)
        if (next[i] >= 0 && lost[next[i]])
            return true;
    return false;
}

static void measure_detail(struct drift_faults *f)
{
    const float *long_ago = &f->detail_long[0][0], *now = &f->detail_now[0][0];
    const float *kept = &f->detail_kept[0][0];
    float change[BLOCKS], others[BLOCKS] = {0};
    bool lost[BLOCKS];
    float least = fmaxf(DETAIL_MIN, DETAIL_OF_NOISE * f->noise);
    int n = 0;
    for (int i = 0; i < BLOCKS; i++) {
        change[i] = logf((now[i] + DETAIL_FLOOR) / (long_ago[i] + DETAIL_FLOOR));
        float left = logf((now[i] + DETAIL_FLOOR) / (kept[i] + DETAIL_FLOOR));
        lost[i] = kept[i] > least && left < LOST_BELOW;
    }
    for (int i = 0; i < BLOCKS; i++)
        if (kept[i] > least && !lost[i] && !is_beside(lost, i))
            others[n++] = fabsf(change[i]);
    qsort(others, (size_t)n, sizeof *others, compare);
    f->now.region = largest_region(lost);
    f->now.others = n ? (double)others[n / 2] : INFINITY;
    f->now.others_p80 = n ? (double)others[n * 4 / 5] : INFINITY;
}

/* ---- states ---- */

static bool begin(struct drift_faults *f, enum drift_kind kind, uint64_t since_us, double score,
                  const char *what, const char *to_do, struct drift_fault_event *ret)
{
    *ret = (struct drift_fault_event){
        .kind = kind, .since_us = since_us, .score = fmax(score, 1), .what = what, .to_do = to_do};
    if (kind != DRIFT_VIEW)
        f->state = kind;
    f->since_us = since_us;
    return true;
}

static bool end(struct drift_faults *f, const char *what, struct drift_fault_event *ret)
{
    *ret = (struct drift_fault_event){.kind = f->state,
                                      .over = true,
                                      .since_us = f->since_us,
                                      .score = 1,
                                      .what = what,
                                      .to_do = "nothing to do"};
    f->state = DRIFT_NONE;
    return true;
}

static bool accept(struct drift_faults *f, const struct drift_picture *p, uint64_t now_us,
                   struct drift_fault_event *ret)
{
    start(f, p, now_us);
    return end(f, "it has been so for a quarter of an hour and is taken for how the camera looks",
               ret);
}

static bool follow_blindness(struct drift_faults *f, const struct drift_picture *p, uint64_t now_us,
                             struct drift_fault_event *ret)
{
    bool same = f->started && memcmp(f->last_luma, p->luma, sizeof p->luma) == 0;
    memcpy(f->last_luma, p->luma, sizeof p->luma);
    f->now.flatness = flatness(p);
    bool is_flat = f->now.flatness < FLAT_BELOW;
    bool flat = lasts(&f->flat, is_flat, now_us, FLAT_S);
    bool frozen = lasts(&f->same, same, now_us, SAME_S) && !is_flat;
    bool seeing = lasts(&f->seeing, !same && !is_flat, now_us, SEEING_S);
    if (f->state == DRIFT_BLIND)
        return seeing && end(f, "there is something to see again", ret);
    if (flat)
        return begin(
            f, DRIFT_BLIND, f->flat.since_us, FLAT_BELOW / fmax(f->now.flatness, FLAT_BELOW / 100),
            "the picture is one even area", "uncover the lens or look at the exposure", ret);
    f->frozen = frozen;
    return frozen && begin(f, DRIFT_BLIND, f->same.since_us, 1,
                           "the picture has been the same to the last bit",
                           "restart the camera or its stream", ret);
}

static bool follow_moves(struct drift_faults *f, const struct drift_picture *p, uint64_t now_us,
                         struct drift_fault_event *ret)
{
    f->now.match = f->now.shifted = match_in_place(f);
    bool moved = lasts(&f->moved, looks_moved(f), now_us, MOVED_S);
    if (f->now.match >= MATCH_LOW)
        f->doubt_us = 0;
    else if (!f->doubt_us)
        f->doubt_us = now_us;
    if (moved) {
        uint64_t since_us = f->moved.since_us;
        double score = (1 - f->now.match) / (1 - MATCH_LOW);
        f->state = DRIFT_NONE;
        start(f, p, now_us);
        return begin(f, DRIFT_VIEW, since_us, score, "edges are no longer where they were",
                     "look whether the camera was moved", ret);
    }
    /* Weather: the background may follow it. */
    if (f->doubt_us && now_us - f->doubt_us > seconds(DOUBT_MAX_S))
        start(f, p, now_us);
    return false;
}

static bool follow_dirt(struct drift_faults *f, uint64_t now_us, struct drift_fault_event *ret)
{
    measure_detail(f);
    const struct drift_fault_measures *m = &f->now;
    bool spoilt =
        m->region >= REGION_BLOCKS && m->others <= OTHERS_MAX && m->others_p80 <= OTHERS_P80_MAX;
    bool dirty = lasts(&f->spoilt, spoilt, now_us, DIRTY_S);
    bool clean = lasts(&f->clean, m->region < REGION_BLOCKS / 2, now_us, CLEAN_S);
    if (f->state == DRIFT_DIRTY)
        return clean && end(f, "the region is as sharp as before", ret);
    return dirty && begin(f, DRIFT_DIRTY, f->spoilt.since_us, (double)m->region / REGION_BLOCKS,
                          "a region has lost its detail while the rest keeps its own",
                          "clean the lens", ret);
}

static bool check(struct drift_faults *f, const struct drift_picture *p, uint64_t now_us,
                  struct drift_fault_event *ret)
{
    f->checked_us = now_us;
    if (f->state == DRIFT_DIRTY && now_us - f->since_us > seconds(DRIFT_FAULT_ACCEPT_S))
        return accept(f, p, now_us, ret);
    return follow_moves(f, p, now_us, ret) || (!f->doubt_us && follow_dirt(f, now_us, ret));
}

bool drift_faults_add(struct drift_faults *f, const struct drift_picture *p, uint64_t t_us,
                      struct drift_fault_event *ret)
{
    assert(!f->started || t_us >= f->last_us);
    bool gap = f->started && t_us - f->last_us > seconds(DRIFT_FAULT_GAP_S);
    bool told = follow_blindness(f, p, t_us, ret);
    bool sees = f->state != DRIFT_BLIND && !f->flat.on && !f->same.on;
    if (!told && sees && (!f->started || gap))
        start(f, p, t_us);
    else if (!told && sees) {
        remember(f, p, t_us);
        bool warm = t_us - f->first_us >= seconds(DRIFT_FAULT_WARM_S);
        if (warm && t_us - f->checked_us >= CHECK_US)
            told = check(f, p, t_us, ret);
    }
    f->last_us = t_us;
    return told;
}
