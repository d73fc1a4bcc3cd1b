/* PNG through libpng: label maps as stored, and the writers. libpng reports errors by longjmp; the
 * one function that meets it keeps everything that must be freed in a struct. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/file.h"
#include "video/frame.h"
#include "video/image.h"

struct label_reader {
    png_structp png;
    png_infop info;
    struct cursor in;
    struct label_map map;
    struct error *err;
    enum status st;
};

static void on_error(png_structp png, png_const_charp message)
{
    struct label_reader *r = png_get_error_ptr(png);
    r->st = error_set(r->err, ST_FORMAT, "damaged PNG: %s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep data, size_t n)
{
    struct label_reader *r = png_get_io_ptr(png);
    const uint8_t *at = cursor_take(&r->in, n);
    if (!at)
        png_error(png, "the file ends early");
    memcpy(data, at, n);
}

/* libpng's limit errors come as damage; the header is looked at first to say what is wrong. */
static enum status check_header(const struct label_reader *r)
{
    png_uint_32 width = png_get_image_width(r->png, r->info);
    png_uint_32 height = png_get_image_height(r->png, r->info);
    int depth = png_get_bit_depth(r->png, r->info);
    int color = png_get_color_type(r->png, r->info);
    if (width > FRAME_SIDE_MAX || height > FRAME_SIDE_MAX)
        return error_set(r->err, ST_LIMIT, "labels of %u x %u; sides may be %d at most", width,
                         height, FRAME_SIDE_MAX);
    if (depth > 8 || (color != PNG_COLOR_TYPE_GRAY && color != PNG_COLOR_TYPE_PALETTE))
        return error_set(r->err, ST_UNSUPPORTED,
                         "a label image must be 8-bit gray or palette, its pixel values the "
                         "classes; this one has %d bits and colour type %d",
                         depth, color);
    return ST_OK;
}

static void read_map(struct label_reader *r)
{
    if (setjmp(png_jmpbuf(r->png)))
        return; /* on_error has set the status */
    png_set_read_fn(r->png, r, on_read);
    png_set_user_limits(r->png, INT_MAX, INT_MAX);
    png_set_chunk_cache_max(r->png, 64);
    png_set_chunk_malloc_max(r->png, 1 << 20);
    png_read_info(r->png, r->info);
    r->st = check_header(r);
    int width = r->st == ST_OK ? (int)png_get_image_width(r->png, r->info) : 0;
    int height = r->st == ST_OK ? (int)png_get_image_height(r->png, r->info) : 0;
    if (r->st == ST_OK)
        r->st = label_map_resize(&r->map, width, height, r->err);
    if (r->st != ST_OK)
        return;
    png_set_packing(r->png); /* 1, 2 and 4 bits to a byte each, values unchanged */
    int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    memset(r->map.classes, 0, (size_t)width * (size_t)height);
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < height; y++)
            png_read_row(r->png, r->map.classes + (size_t)y * (size_t)width, NULL);
    png_read_end(r->png, NULL);
}

enum status image_labels_read(const void *data, size_t n, struct label_map *out, struct error *err)
{
    if (n < 8 || png_sig_cmp(data, 0, 8) != 0)
        return error_set(err, ST_UNSUPPORTED, "labels must be a PNG image");
    struct label_reader r = {.err = err, .st = ST_NOMEM};
    cursor_init(&r.in, data, n);
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    if (r.info)
        read_map(&r);
    else
        error_set(err, ST_NOMEM, "no memory to read a PNG");
    png_destroy_read_struct(&r.png, &r.info, NULL);
    if (r.st != ST_OK) {
        label_map_clear(&r.map);
        return r.st;
    }
    label_map_clear(out);
    *out = r.map;
    return ST_OK;
}

enum status image_labels_open(const char *path, struct label_map *out, struct error *err)
{
    struct buf bytes;
    buf_init(&bytes);
    enum status st = file_read(path, IMAGE_BYTES_MAX, &bytes, err);
    if (st == ST_OK) {
        st = image_labels_read(bytes.data, bytes.size_bytes, out, err);
        if (st != ST_OK)
            error_prefix(err, "%s", path);
    }
    buf_clear(&bytes);
    return st;
}

static enum status write_png(const uint8_t *pixels, int width, int height, png_uint_32 format,
                             struct buf *out, struct error *err)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = format};
    png_alloc_size_t room = PNG_IMAGE_PNG_SIZE_MAX(image);
    size_t before = out->size_bytes;
    uint8_t *at = buf_extend(out, room);
    if (!at)
        return error_set(err, ST_NOMEM, "no memory for a PNG of %d x %d", width, height);
    if (!png_image_write_to_memory(&image, at, &room, 0, pixels, 0, NULL)) {
        out->size_bytes = before;
        return error_set(err, ST_NOMEM, "cannot write a PNG: %s", image.message);
    }
    out->size_bytes = before + room;
    return ST_OK;
}

enum status image_labels_write(const struct label_map *l, struct buf *out, struct error *err)
{
    return write_png(l->classes, l->width, l->height, PNG_FORMAT_GRAY, out, err);
}

enum status image_png_write(const struct frame *f, struct buf *out, struct error *err)
{
    return write_png(f->pixels, f->width, f->height, PNG_FORMAT_RGB, out, err);
}
