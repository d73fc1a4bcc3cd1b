/* conditions.c - distances, and bytes. */
#include "group/conditions.h"

#include <math.h>
#include <string.h>

#define EARTH_RADIUS_M 6371000.0
#define DAY_US ((uint64_t)86400 * 1000000)
#define PLACE_M_MAX 1e8
#define LOOKS_KNOWN 1
#define PLACE_KNOWN 2

static double radians(double deg)
{
    return deg * 3.14159265358979323846 / 180;
}

struct group_place group_place_unknown(void)
{
    return (struct group_place){{(double)NAN, (double)NAN, (double)NAN}};
}

struct group_place group_place_of_map(double x_m, double y_m)
{
    struct group_place p = {{x_m, y_m, 0}};
    return group_place_known(&p) ? p : group_place_unknown();
}

struct group_place group_place_of_degrees(double lat_deg, double lon_deg)
{
    if (!(fabs(lat_deg) <= 90) || !(fabs(lon_deg) <= 180))
        return group_place_unknown();
    double lat = radians(lat_deg), lon = radians(lon_deg), r = EARTH_RADIUS_M * cos(lat);
    return (struct group_place){{r * cos(lon), r * sin(lon), EARTH_RADIUS_M * sin(lat)}};
}

bool group_place_known(const struct group_place *p)
{
    for (int i = 0; i < 3; i++)
        if (!(fabs(p->m[i]) <= PLACE_M_MAX))
            return false;
    return true;
}

double group_place_distance_m(const struct group_place *a, const struct group_place *b)
{
    double sum = 0;
    for (int i = 0; i < 3; i++)
        sum += (a->m[i] - b->m[i]) * (a->m[i] - b->m[i]);
    return sqrt(sum);
}

void group_conditions_init(struct group_conditions *c)
{
    memset(c, 0, sizeof *c);
    c->place = group_place_unknown();
}

double group_signature_distance(const struct group_conditions *a, const struct group_conditions *b)
{
    return a->looks_known && b->looks_known ? signature_distance(&a->signature, &b->signature)
                                            : (double)NAN;
}

static bool place_is_unknown(const struct group_place *p)
{
    return isnan(p->m[0]) && isnan(p->m[1]) && isnan(p->m[2]);
}

bool group_conditions_valid(const struct group_conditions *c)
{
    return (place_is_unknown(&c->place) || group_place_known(&c->place)) &&
           (!c->looks_known || signature_is_valid(&c->signature)) &&
           memchr(c->weather, 0, sizeof c->weather);
}

double group_day_distance_s(uint64_t a_us, uint64_t b_us)
{
    uint64_t d = (a_us > b_us ? a_us - b_us : b_us - a_us) % DAY_US;
    return (double)(d < DAY_US / 2 ? d : DAY_US - d) / 1e6;
}

void group_conditions_put(struct buf *b, const struct group_conditions *c)
{
    bool placed = group_place_known(&c->place);
    buf_put_u8(b, (uint8_t)((c->looks_known ? LOOKS_KNOWN : 0) | (placed ? PLACE_KNOWN : 0)));
    buf_put_u64(b, c->time_us);
    for (int i = 0; i < 3 && placed; i++)
        buf_put_f64(b, c->place.m[i]);
    for (int i = 0; i < SIGNATURE_VALUES && c->looks_known; i++)
        buf_put_f32(b, c->signature.value[i]);
    size_t n = strlen(c->weather);
    buf_put_u8(b, (uint8_t)n);
    buf_put(b, c->weather, n);
}

void group_conditions_get(struct cursor *c, struct group_conditions *ret)
{
    group_conditions_init(ret);
    uint8_t flags = cursor_u8(c);
    ret->time_us = cursor_u64(c);
    for (int i = 0; i < 3 && flags & PLACE_KNOWN; i++)
        ret->place.m[i] = cursor_f64(c);
    ret->looks_known = flags & LOOKS_KNOWN;
    for (int i = 0; i < SIGNATURE_VALUES && ret->looks_known; i++)
        ret->signature.value[i] = cursor_f32(c);
    uint8_t n = cursor_u8(c);
    const uint8_t *text = n <= GROUP_WEATHER_CHARS_MAX ? cursor_take(c, n) : NULL;
    if (text)
        memcpy(ret->weather, text, n);
    if (!text || strlen(ret->weather) != n || flags & ~(LOOKS_KNOWN | PLACE_KNOWN) ||
        (flags & PLACE_KNOWN && !group_place_known(&ret->place)) || !group_conditions_valid(ret))
        c->failed = true;
}
