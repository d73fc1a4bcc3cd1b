/* conditions.h - under which conditions a camera looks, or a model was good: where, when, and what
 * the pictures are like. Cheap to compare; only ever used to narrow down what is then tried.
 *
 * Threads: pure functions of plain values.
 */
#ifndef ATTUNE_GROUP_CONDITIONS_H
#define ATTUNE_GROUP_CONDITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "drift/signature.h"

#define GROUP_WEATHER_CHARS_MAX 15

/* A place as a point of space in metres, so that maps and degrees are one thing: of a map (x, y,
 * 0), of the globe its earth-centred position (a sphere of 6371 km; chord for arc, which at 100 km
 * is 1 m too short). Unknown: all NaN. Places of one fleet must be of one kind. */
struct group_place {
    double m[3];
};

struct group_place group_place_unknown(void);
struct group_place group_place_of_map(double x_m, double y_m);
/* Latitude -90..90, longitude -180..180; unknown for anything else. */
struct group_place group_place_of_degrees(double lat_deg, double lon_deg);
bool group_place_known(const struct group_place *p);
/* NaN where either is unknown. */
double group_place_distance_m(const struct group_place *a, const struct group_place *b);

struct group_conditions {
    struct group_place place;
    uint64_t time_us; /* of the drift, or when the model was made; since 1970 where times of day are
                       * to mean anything */
    bool looks_known; /* signature */
    struct signature signature;
    char weather[GROUP_WEATHER_CHARS_MAX + 1]; /* as somebody calls it, "" unknown */
};

/* All unknown. */
void group_conditions_init(struct group_conditions *c);

/* NaN where either is unknown. */
double group_signature_distance(const struct group_conditions *a, const struct group_conditions *b);

/* Whether numbers are finite or wholly unknown, and the text ends. */
bool group_conditions_valid(const struct group_conditions *c);

/* Difference of the times of day, 0..12 h. */
double group_day_distance_s(uint64_t a_us, uint64_t b_us);

/* As in docs/formats.md, "groups". A reader that finds nonsense sets c->failed. */
void group_conditions_put(struct buf *b, const struct group_conditions *c);
void group_conditions_get(struct cursor *c, struct group_conditions *ret);

#endif
