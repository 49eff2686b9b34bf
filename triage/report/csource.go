package report

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bpffuzz/bpffuzz/triage"
)

// cStart and cEnd are what repro.c has around the finding's own lines.
const (
	cStart = `#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	const char *map, *program; /* the value is a program where that is not NULL */
	const void *key, *value;
	unsigned key_size, value_size;
	int per_cpu;
};

struct step {
	const struct entry *entries; /* stored in maps before the step */
	const void *data, *ctx;      /* data_in and ctx_in */
	const void *out, *ctx_out;   /* what came back, NULL for no comparison */
	unsigned n_entries, data_size, ctx_size, out_size, ctx_out_size;
	unsigned flags, cpu, gives_data, gives_ctx;
	unsigned retval;
	int error; /* of BPF_PROG_RUN */
};

#define N(array) (sizeof(array) / sizeof(*(array)))

`
	cEnd = `
static void cannot(const char *what)
{
	fprintf(stderr, "repro: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* A file that was opened before is closed by the end of the process. */
static void store(struct bpf_object *object, const struct entry *e)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, e->map);
	char values[256 * 1024];
	const void *value = e->value;
	int fd;

	if (!map)
		cannot(e->map);
	if (e->program) {
		fd = bpf_program__fd(bpf_object__find_program_by_name(object, e->program));
		value = &fd;
	}
	if (e->per_cpu) {
		unsigned stride = (e->value_size + 7) / 8 * 8;
		int cpus = libbpf_num_possible_cpus();

		if (cpus < 0 || (unsigned long)cpus * stride > sizeof(values)) {
			errno = E2BIG;
			cannot(e->map);
		}
		memset(values, 0, sizeof(values));
		for (int i = 0; i < cpus; i++)
			memcpy(values + (unsigned long)i * stride, e->value, e->value_size);
		value = values;
	}
	if (bpf_map_update_elem(bpf_map__fd(map), e->key, value, BPF_ANY))
		cannot(e->map);
}

static int wanted(const char *name)
{
	for (unsigned i = 0; i < N(load); i++)
		if (!strcmp(load[i], name))
			return 1;
	return 0;
}

/* Returns whether the step gave what it gave when the failure was found. */
static int run(int fd, const struct step *s, unsigned number)
{
	static unsigned char out[256 * 1024], ctx[256 * 1024];
	int error, same;
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	opts.data_in = s->data;
	opts.data_size_in = s->data_size;
	opts.ctx_in = s->ctx;
	opts.ctx_size_in = s->ctx_size;
	if (s->gives_data) {
		opts.data_out = out;
		opts.data_size_out = sizeof(out);
	}
	if (s->gives_ctx) {
		opts.ctx_out = ctx;
		opts.ctx_size_out = sizeof(ctx);
	}
	opts.flags = s->flags;
	opts.cpu = s->cpu;
	error = bpf_prog_test_run_opts(fd, &opts) ? errno : 0;
	if (error || s->error) {
		printf("step %u: %s; found was %s\n", number, error ? strerror(error) : "it ran", s->error ? strerror(s->error) : "a run");
		return error == s->error;
	}
	printf("step %u: returned %u; found was %u\n", number, opts.retval, s->retval);
	same = opts.retval == s->retval;
	if (s->out && (opts.data_size_out != s->out_size || memcmp(out, s->out, s->out_size))) {
		printf("step %u: another packet\n", number);
		same = 0;
	}
	if (s->ctx_out && (opts.ctx_size_out != s->ctx_out_size || memcmp(ctx, s->ctx_out, s->ctx_out_size))) {
		printf("step %u: another context\n", number);
		same = 0;
	}
	return same;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	struct bpf_program *p;
	struct bpf_map *map;
	int same = 1;

	/* A private network: nothing touches the machine's own. */
	if (unshare(CLONE_NEWNET))
		cannot("leaving the network, run it as root");
	object = bpf_object__open_file(argc > 1 ? argv[1] : "repro.o", NULL);
	if (!object)
		cannot("opening the object");
	bpf_object__for_each_program(p, object) {
		bpf_program__set_autoload(p, wanted(bpf_program__name(p)));
		if (kind && wanted(bpf_program__name(p)))
			bpf_program__set_type(p, kind);
	}
	bpf_object__for_each_map(map, object)
		bpf_map__set_pin_path(map, NULL);
	if (bpf_object__load(object))
		cannot("loading the object");
	p = bpf_object__find_program_by_name(object, program);
	if (!p)
		cannot(program);
	for (unsigned i = 0; i < n_contents; i++)
		store(object, &contents[i]);
	for (unsigned i = 0; i < N(steps); i++) {
		for (unsigned k = 0; k < steps[i].n_entries; k++)
			store(object, &steps[i].entries[k]);
		same &= run(bpf_program__fd(p), &steps[i], i);
	}
	bpf_object__close(object);
	puts(same ? title : "does not fail as found");
	return same;
}
`
)

// C returns repro.c, which runs the steps of a finding with libbpf. Its first line keeps
// go test from taking it for cgo's.
func C(f *triage.Finding, r *Recipe) string {
	var s strings.Builder
	s.WriteString("//go:build ignore\n\n")
	s.WriteString(comment("//", fmt.Sprintf(`%s: %s

Runs the input of this finding with libbpf, without the fuzzer:

    gcc -O2 -o repro repro.c -lbpf && sudo ./repro [OBJECT]

Exit code: 1 as long as what comes back is what was found, 0 when it is something
else, 2 when the program could not be run. OBJECT is repro.o if it is not given.`,
		f.Oracle, strings.TrimRight(oneLine(f.Title), `\`))))
	s.WriteString(cStart)
	fmt.Fprintf(&s, "static const char program[] = %s;\nstatic const char title[] = %s;\n",
		strconv.QuoteToASCII(r.Program), cString("fails as found: "+oneLine(f.Oracle+": "+f.Title)))
	fmt.Fprintf(&s, "static const unsigned kind = %d; /* enum bpf_prog_type, 0 for what the section says */\n", r.Kind)
	s.WriteString("static const char *const load[] = {")
	for _, name := range r.Load {
		fmt.Fprintf(&s, "%q, ", name)
	}
	s.WriteString("};\n\n")
	b := &cWriter{s: &s}
	contents := b.entries("contents", writable(r.Contents))
	var steps []string
	for i := range r.Calls {
		if w, ok := found(f, i, &r.Calls[i]); ok {
			steps = append(steps, b.step(i, &r.Calls[i], w))
		}
	}
	fmt.Fprintf(&s, "static const struct step steps[] = {\n%s};\n", strings.Join(steps, ""))
	if contents == "NULL" {
		s.WriteString("static const struct entry *const contents = NULL;\n")
	}
	fmt.Fprintf(&s, "static const unsigned n_contents = %d;\n", len(writable(r.Contents)))
	s.WriteString(cEnd)
	return s.String()
}

func writable(all []Content) (list []Content) {
	for _, c := range all {
		if !c.ReadOnly {
			list = append(list, c)
		}
	}
	return list
}

// cString quotes text for C, where ?? and hexadecimal escapes mean something else.
func cString(text string) string {
	var s strings.Builder
	for _, b := range []byte(text) {
		if b < ' ' || b >= 0x7f || strings.IndexByte(`"\?`, b) >= 0 {
			fmt.Fprintf(&s, "\\%03o", b)
			continue
		}
		s.WriteByte(b)
	}
	return `"` + s.String() + `"`
}

// cWriter writes arrays and names them.
type cWriter struct {
	s *strings.Builder
	n int
}

// array writes bytes and returns the array's name and size.
func (w *cWriter) array(b []byte, what string) (name string, size int) {
	if b == nil {
		return "NULL", 0
	}
	name = fmt.Sprintf("%s_%d", what, w.n)
	w.n++
	fmt.Fprintf(w.s, "static const unsigned char %s[%d] = {", name, max(len(b), 1))
	for i, c := range b {
		if i%12 == 0 {
			w.s.WriteString("\n\t")
		} else {
			w.s.WriteString(" ")
		}
		fmt.Fprintf(w.s, "0x%02x,", c)
	}
	w.s.WriteString("\n};\n")
	return name, len(b)
}

// entries writes entries of maps and returns the array's name, NULL for none.
func (w *cWriter) entries(name string, list []Content) string {
	if len(list) == 0 {
		return "NULL"
	}
	var rows strings.Builder
	for i := range list {
		c := &list[i]
		key, keySize := w.array(c.Key, "key")
		value, valueSize := w.array(c.Value, "value")
		program := "NULL"
		if c.Program != "" {
			program = cString(c.Program)
		}
		perCPU := 0
		if c.PerCPU {
			perCPU = 1
		}
		fmt.Fprintf(&rows, "\t{%s, %s, %s, %s, %d, %d, %d},\n", cString(c.Map), program, key, value, keySize, valueSize, perCPU)
	}
	fmt.Fprintf(w.s, "static const struct entry %s[] = {\n%s};\n", name, rows.String())
	return name
}

// step writes what a step needs and returns its row.
func (w *cWriter) step(i int, c *Call, want wanted) string {
	data, dataSize := w.array(c.Data, "data")
	ctx, ctxSize := w.array(c.Context, "ctx")
	out, outSize := w.array(want.data, "out")
	ctxOut, ctxOutSize := w.array(want.context, "ctx_out")
	before := writable(c.Before)
	entries := w.entries(fmt.Sprintf("before_%d", i), before)
	var row strings.Builder
	row.WriteString("\t{")
	field := func(name string, value any) { fmt.Fprintf(&row, "\n\t\t.%s = %v,", name, value) }
	field("entries", entries)
	field("n_entries", len(before))
	field("data", data)
	field("data_size", dataSize)
	field("ctx", ctx)
	field("ctx_size", ctxSize)
	field("out", out)
	field("out_size", outSize)
	field("ctx_out", ctxOut)
	field("ctx_out_size", ctxOutSize)
	field("flags", c.Flags)
	field("cpu", c.CPU)
	field("gives_data", number(c.GivesData))
	field("gives_ctx", number(c.GivesContext))
	field("retval", fmt.Sprintf("%dU", want.ret))
	field("error", want.errno)
	row.WriteString("\n\t},\n")
	return row.String()
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
