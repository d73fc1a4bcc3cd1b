/* preview.h - the newest labelled frame of every camera, kept for the page. Internal.
 *
 * Owns:    one frame and two label maps a camera.
 * Threads: safe; readers copy under the lock and encode outside it.
 */
#ifndef ATTUNE_SERVER_PREVIEW_H
#define ATTUNE_SERVER_PREVIEW_H

#include <pthread.h>

#include "server/labelling.h"
#include "video/overlay.h"

struct preview {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    struct frame frame;
    struct label_map student, teacher;
};

struct preview_set {
    pthread_mutex_t lock;
    struct preview *previews; /* [capacity] */
    int count, capacity;
    enum task_kind task;
    struct palette palette;
};

enum status preview_set_init(struct preview_set *p, int capacity, const struct task_spec *spec,
                             struct error *err);
void preview_set_clear(struct preview_set *p);

/* Copies all three; a camera beyond the capacity is ignored. */
enum status preview_put(struct preview_set *p, const char *camera, const struct frame *frame,
                        const struct label_map *student, const struct label_map *teacher,
                        struct error *err);

/* Draws the map (NULL: nothing) into the frame and appends it as a JPEG. */
enum status preview_draw(const struct preview_set *p, struct frame *frame,
                         const struct label_map *map, struct buf *out, struct error *err);

/* Appends a JPEG. ST_NOT_FOUND when the camera has no frame yet. */
enum status preview_jpeg(struct preview_set *p, const char *camera, enum preview_view view,
                         struct buf *out, struct error *err);

#endif
