/* folder.h - inside src/video only: the images of one folder, in natural order of their names.
 *
 * Owns:   the list of paths.
 * Memory: the list, and one image file.
 */
#ifndef ATTUNE_VIDEO_FOLDER_H
#define ATTUNE_VIDEO_FOLDER_H

#include <stdbool.h>

#include <libavutil/frame.h>

#include "base/error.h"

struct folder;

bool folder_is(const char *path);

/* ST_NOT_FOUND: no folder, or no image in it. ST_LIMIT: more than IMAGE_LIST_MAX
 * (video/image_list.h). */
enum status folder_open(const char *path, struct folder **ret, struct error *err);
void folder_close(struct folder **f);

/* The next image, the caller's (av_frame_free), and its index. ST_END after the last; after any
 * other error the next call goes on with the next image. */
enum status folder_next(struct folder *f, AVFrame **ret, size_t *ret_index, struct error *err);

/* Path of the image that folder_next gave last; NULL before. */
const char *folder_name(const struct folder *f);
size_t folder_count(const struct folder *f);

#endif
