package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// showFlags are the flags of show.
type showFlags struct {
	targetFlags
	loaded bpf.Selector
	all    bool // of the kernel, as far as loaded says, not of an object

	insns, opcodes, linum, jited bool
	dot, svg                     bool

	cover, out string
	json       bool
}

func newShow(u *ui) *cobra.Command {
	f := &showFlags{}
	cmd := &cobra.Command{
		Use:   "show [flags] [OBJECT]",
		Short: "Show programs of an object or of the kernel",
		Long: `Show lists the programs of an object, or without one those that are loaded into the
kernel, and looks into one of them: its instructions with source lines and edges,
its control flow as a drawing, the machine code that the kernel made of it.

Of an object, edges are those that bpffuzz observes, with the probe that does it, and
--cover colours what the corpus of a run covers: green and solid where some input
passed, red and dashed where none did, grey and dotted where it cannot be told. A
loaded program is chosen with --id, --tag, --name or --pinned; its instructions are
what the verifier made of the object's.

With -o, --insns and --jited write the instructions as bytes, --dot and --svg the
drawing. Showing what is loaded needs CAP_SYS_ADMIN, which root has.`,
		Example: `  bpffuzz show firewall.o                              # the programs of an object
  bpffuzz show --insns --linum firewall.o              # its code, with lines and edges
  bpffuzz show -c target.yaml --svg -o flow.svg --cover bpffuzz-out/firewall
  bpffuzz show --dot firewall.o | dot -Tpdf > flow.pdf
  sudo bpffuzz show                                    # what is loaded, and who holds it
  sudo bpffuzz show --name firewall --insns --opcodes  # as the verifier left it
  sudo bpffuzz show --id 42 --jited                    # what the processor runs
  sudo bpffuzz show --json | jq -r '.programs[] | [.id, .name, .run_cnt] | @tsv'`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeObject,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args) },
	}
	f.registerShow(cmd)
	return cmd
}

func (f *showFlags) registerShow(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "target `file` in YAML that names the object, program and tail calls")
	flags.StringVarP(&f.program, "program", "p", "", "`name` of the program of the object")
	flags.BoolVar(&f.all, "kernel", false, "show loaded programs (default without an object)")
	flags.Uint32Var(&f.loaded.ID, "id", 0, "show the loaded program with that `number`")
	flags.StringVar(&f.loaded.Tag, "tag", "", "show loaded programs with that `tag` of 16 hexadecimal digits")
	flags.StringVar(&f.loaded.Name, "name", "", "show loaded programs with that `name`")
	flags.StringVar(&f.loaded.Pinned, "pinned", "", "show the program that is pinned at that `path`")
	flags.BoolVar(&f.insns, "insns", false, "show instructions with source lines and edges")
	flags.BoolVar(&f.opcodes, "opcodes", false, "show the bytes of instructions too (implies --insns without --jited)")
	flags.BoolVar(&f.linum, "linum", false, "show file, line and column of source lines too (implies --insns without --jited)")
	flags.BoolVar(&f.jited, "jited", false, "show the machine code of a loaded program")
	flags.BoolVar(&f.dot, "dot", false, "draw the control flow in the language of Graphviz")
	flags.BoolVar(&f.svg, "svg", false, "draw the control flow as SVG")
	flags.StringVar(&f.cover, "cover", "", "mark what the corpus in the output `directory` of a run covers")
	flags.StringVarP(&f.out, "output", "o", "", "write bytes or drawing to a `file`, - for standard output")
	flags.BoolVar(&f.json, "json", false, "write one JSON object instead of text")
	_ = cmd.RegisterFlagCompletionFunc("program", f.completePrograms)
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	_ = cmd.MarkFlagDirname("cover")
}

func (f *showFlags) run(ctx context.Context, u *ui, args []string) error {
	f.all = f.all || f.loaded != (bpf.Selector{}) || len(args) == 0 && f.config == ""
	f.insns = f.insns || (f.opcodes || f.linum) && !f.jited
	if err := f.check(args); err != nil {
		return err
	}
	if f.all {
		return f.showKernel(u)
	}
	if _, err := f.read(args); err != nil {
		return err
	}
	return f.showObject(ctx, u)
}

// check refuses flags that do not go together.
func (f *showFlags) check(args []string) error {
	views := 0
	for _, on := range []bool{f.insns, f.jited, f.dot, f.svg} {
		if on {
			views++
		}
	}
	switch {
	case views > 1:
		return usageError("choose one of --insns, --jited, --dot and --svg")
	case f.all && (len(args) > 0 || f.config != "" || f.program != ""):
		return usageError("choose an object or loaded programs: --kernel, --id, --tag, --name and --pinned take no object")
	case f.all && f.cover != "":
		return usageError("--cover needs the object that was run: a loaded program has no probes")
	case !f.all && f.jited:
		return usageError("--jited shows loaded programs: choose one with --id, --tag, --name or --pinned")
	case f.cover != "" && views == 0:
		return usageError("--cover needs --insns, --dot or --svg to show it in")
	case f.out != "" && views == 0:
		return usageError("-o needs --insns, --jited, --dot or --svg to say what is written")
	case f.json && (f.dot || f.svg || f.out != ""):
		return usageError("--json goes with lists, --insns and --jited, without -o")
	}
	return nil
}

// showObject shows what f.read found.
func (f *showFlags) showObject(ctx context.Context, u *ui) error {
	object, err := f.openObject()
	if err != nil {
		return err
	}
	program := cmp.Or(f.program, f.file.Program)
	if !f.insns && !f.dot && !f.svg {
		return f.listObject(u, object)
	}
	code, err := object.Code(program, f.file.Setup())
	if err != nil {
		return err
	}
	var covered *coverage
	if f.cover != "" {
		f.program = program
		if covered, err = f.readCoverage(ctx, u); err != nil {
			return err
		}
	}
	return f.showCode(u, []*shownCode{newShownCode(code, covered)})
}

// showCode shows programs in the way that the flags say.
func (f *showFlags) showCode(u *ui, programs []*shownCode) error {
	for _, p := range programs {
		for _, note := range p.Notes {
			u.detail("note: %s: %s", p.Program, note)
		}
	}
	if f.dot || f.svg || f.out != "" {
		if len(programs) > 1 {
			return fmt.Errorf("%s agree with %s: choose one with --id", count(len(programs), "program"), f.loaded)
		}
		return f.writeCode(u, programs[0])
	}
	if f.json {
		return u.printJSON(struct {
			Programs []*shownCode `json:"programs"`
		}{programs})
	}
	for _, p := range programs {
		u.print(p.text(f.opcodes, f.linum))
	}
	return nil
}

func (f *showFlags) writeCode(u *ui, p *shownCode) error {
	if f.dot || f.svg {
		text, err := p.draw(f.svg)
		if err != nil {
			return err
		}
		return f.write(u, text)
	}
	if p.raw == nil {
		return fmt.Errorf("program %s: %s", p.Program, errors.Join(asErrors(p.Notes)...))
	}
	return f.write(u, p.raw)
}

func asErrors(notes []string) []error {
	var all []error
	for _, n := range notes {
		all = append(all, errors.New(n))
	}
	return all
}

// write puts a result where -o says.
func (f *showFlags) write(u *ui, b []byte) error {
	if f.out == "" || f.out == "-" {
		u.mu.Lock()
		defer u.mu.Unlock()
		_, err := u.stdout.Write(b) // as it is: what print changes would be other code
		return err
	}
	if err := explainFull(writeWhole(f.out, b)); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
