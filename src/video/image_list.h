/* image_list.h - the images of a folder, and where the labels of an image are.
 *
 * jpg, jpeg and png files in natural order of their names (img2 before img10); hidden files and
 * names that end in _label.png are left out.
 *
 * Owns:   the paths, until image_list_clear.
 * Errors: ST_NOT_FOUND (no folder, or no image in it), ST_LIMIT, ST_IO, ST_NOMEM.
 */
#ifndef ATTUNE_VIDEO_IMAGE_LIST_H
#define ATTUNE_VIDEO_IMAGE_LIST_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define IMAGE_LIST_MAX 1000000

struct image_list {
    char **paths; /* [count] DIR/NAME */
    size_t count;
};

enum status image_list_read(const char *dir, struct image_list *ret, struct error *err);
void image_list_clear(struct image_list *l);

/* DIR/NAME_label.png for DIR/NAME.ext, or the same name within labels_dir (NULL: beside the image);
 * false when that is too long for a path. */
bool image_label_path(const char *image, const char *labels_dir, char path[PATH_MAX]);

/* Natural order: runs of digits compare as numbers ("2" before "10"), the rest as bytes. */
int image_list_compare_names(const char *a, const char *b);

#endif
