/* container.h - a delta's bytes but for what is entropy-coded: header, counts, checksum.
 *
 * Internal to src/delta; the format is in docs/formats.md.
 *
 * Errors: ST_FORMAT (damaged, cut), ST_UNSUPPORTED (another version of the format).
 */
#ifndef ATTUNE_DELTA_CONTAINER_H
#define ATTUNE_DELTA_CONTAINER_H

#include "delta/delta.h"

/* The sections, whose sizes are in delta_info; borrowed from the delta. */
struct container {
    const uint8_t *counts, *mask, *values, *stats;
};

/* The header, from every member of *info but bytes. */
void container_put_header(const struct delta_info *info, struct buf *out);

/* One number of the section of counts. */
void container_put_count(struct buf *out, uint32_t v);

/* Checks the checksum and every bound. */
enum status container_open(const void *bytes, size_t n, struct delta_info *ret_info,
                           struct container *ret, struct error *err);

/* The numbers of coordinates sent of each tensor, the first counts_max of them. */
bool container_take_counts(const struct delta_info *info, const uint8_t *bytes, uint32_t *counts,
                           uint32_t counts_max);

/* ST_FORMAT: damaged. */
enum status container_torn(struct error *err);

#endif
