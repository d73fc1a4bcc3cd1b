#include "edge/views.h"

#include "video/frame.h"

enum status views_init(struct views *v, const char *regions, const struct task_spec *spec,
                       struct error *err)
{
    enum status st = regions_parse(regions, &v->regions, err);
    if (st == ST_OK && v->regions.count && spec->task != TASK_CLASSIFY)
        st = error_set(err, ST_UNSUPPORTED,
                       "--regions are classified one by one, and the student does not classify");
    for (int i = 0; i < v->regions.count; i++) {
        cropper_init(&v->croppers[i]);
        frame_init(&v->crops[i]);
        if (st == ST_OK)
            st = frame_resize(&v->crops[i], spec->width, spec->height, err);
    }
    return st;
}

void views_clear(struct views *v)
{
    for (int i = 0; i < v->regions.count; i++) {
        cropper_clear(&v->croppers[i]);
        frame_clear(&v->crops[i]);
    }
    v->regions.count = 0;
}

enum status views_cut(struct views *v, const struct frame *frame, struct error *err)
{
    enum status st = ST_OK;
    v->whole = *frame;
    for (int i = 0; i < v->regions.count && st == ST_OK; i++) {
        struct box box = region_box(&v->regions.at[i], frame->width, frame->height);
        st = cropper_cut(&v->croppers[i], frame, &box, &v->crops[i], err);
    }
    return st;
}
