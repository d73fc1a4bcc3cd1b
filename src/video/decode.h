/* decode.h - an H.264 clip of known size back into RGB frames.
 *
 * The bytes come from the network: whatever they are, the result is frames of exactly the stated
 * size or an error. Damage is an error, not a concealed picture.
 *
 * Usage: 1 clip_decoder_open; 2 clip_decoder_next until ST_END; 3 clip_decoder_close.
 * Owns:    the decoder; data is borrowed until close.
 * Threads: one at a time; runs in the calling thread.
 * Memory:  the decoder's reference pictures (bounded by width x height x 17).
 * Errors:  ST_FORMAT (not H.264, damaged, another size, another number of frames), ST_NOMEM.
 */
#ifndef ATTUNE_VIDEO_DECODE_H
#define ATTUNE_VIDEO_DECODE_H

#include "base/error.h"
#include "flow/records.h"
#include "video/encode.h"

struct clip_decoder;

/* count: frames that the clip must hold, 1..CLIP_FRAMES_MAX. */
enum status clip_decoder_open(const void *data, size_t n, int width, int height, int count,
                              struct clip_decoder **ret, struct error *err);
void clip_decoder_close(struct clip_decoder **d);

/* Writes the next picture to *out (frame_init'ed, is resized; t_us stays). ST_END after `count`
 * pictures; a clip that holds fewer or more is ST_FORMAT. */
enum status clip_decoder_next(struct clip_decoder *d, struct frame *out, struct error *err);

/* The whole clip into frames[count] (each frame_init'ed). */
enum status clip_decode(const void *data, size_t n, int width, int height, int count,
                        struct frame *frames, struct error *err);

#endif
