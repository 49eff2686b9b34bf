package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func newExport(u *ui) *cobra.Command {
	f := &exportFlags{}
	cmd := &cobra.Command{
		Use:   "export --go DIRECTORY | --raw DIRECTORY | --pcap FILE FROM... | --finding DIR [OBJECT]",
		Short: "Write inputs where go test, AFL, libFuzzer or Wireshark read them, or the files of findings anew",
		Long: `Export --go writes the inputs of FROM to a directory of go test: testdata/fuzz/FuzzXxx of
a package, whose files every go test runs, or the fuzz cache, where go test -fuzz
starts from. The files are named by their contents.

Export --raw writes each packet to a file of its own, as AFL and libFuzzer start from,
named by its SHA-1 as libFuzzer does. Export --pcap writes all packets to one capture. Of
an input of several steps these have every packet; they have no place for contents of
maps, metadata, contexts and what stands for time and chance, and it is said how many
inputs lose some.

FROM is an output directory of bpffuzz run (its corpus and its findings), a corpus
directory, a package of Go or its testdata/fuzz/FuzzXxx, what AFL or libFuzzer left, a
corpus file, a capture, a raw packet, or a directory of such.

A file that is there is not written again, and none is overwritten or removed.

Export --finding runs findings that are there again and writes their reports and
exports anew (repro_test.go, repro.sh, repro.c ...), by the object, target file and
oracles that are given, else those of the run. DIR is one finding or an output directory.`,
		Example: `  bpffuzz export --go testdata/fuzz/FuzzFirewall bpffuzz-out/firewall
  bpffuzz export --raw afl-in bpffuzz-out/firewall
  bpffuzz export --pcap corpus.pcap bpffuzz-out/firewall/corpus
  bpffuzz export --finding bpffuzz-out/firewall/findings/verdict-firewall-1f2e3d4c`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, u, args) },
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.finding, "finding", "", "finding or output `directory` whose reports and exports are written anew")
	flags.StringVar(&f.to, "go", "", "`directory` of corpus files of go test, which is made if it is missing")
	flags.StringVar(&f.raw, "raw", "", "`directory` of raw packets, which is made if it is missing")
	flags.StringVar(&f.pcap, "pcap", "", "capture `file`, which must not be there")
	flags.BoolVar(&f.payload, "payload", false, "with --pcap, packets have no headers: the link type is USER0, not Ethernet")
	for _, name := range []string{"finding", "go", "raw"} {
		_ = cmd.MarkFlagDirname(name)
	}
	_ = cmd.MarkFlagFilename("pcap", "pcap")
	return cmd
}

func (f *exportFlags) run(cmd *cobra.Command, u *ui, args []string) error {
	var given []string
	for _, name := range []string{"finding", "go", "raw", "pcap"} {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) > 1 {
		return usageError("%s are destinations of an export: choose one of them", strings.Join(given, ", "))
	}
	if f.finding != "" {
		return f.exportFinding(cmd.Context(), u, args)
	}
	if f.to == "" && f.raw == "" && f.pcap == "" {
		return usageError("no destination: name a directory with --go, such as testdata/fuzz/FuzzXxx, or with --raw, a file with --pcap, or findings with --finding")
	}
	if len(args) == 0 {
		return usageError("nothing to export: name an output directory, a corpus file, a capture or a packet")
	}
	switch {
	case f.raw != "":
		return copyInputs(cmd.Context(), u, newRawSink(f.raw), args)
	case f.pcap != "":
		return copyInputs(cmd.Context(), u, newPcapSink(f.pcap, f.payload), args)
	}
	return copyInputs(cmd.Context(), u, newCorpusSink(f.to), args)
}

func newImport(u *ui) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "import -o DIRECTORY FROM...",
		Short: "Take inputs of go test, AFL and libFuzzer, captures and packets into an output directory",
		Long: `Import writes the inputs of FROM to the corpus of an output directory, from which the
next bpffuzz run there goes on. What FROM is, is found out by looking at it:

  - another output directory of bpffuzz run: its corpus and its findings
  - a package of Go with one fuzz test, its testdata/fuzz/FuzzXxx, or a directory of Go's
    fuzz cache, $(go env GOCACHE)/fuzz/PACKAGE/FuzzXxx
  - the output directory of AFL, or of several instances beside each other: queue, crashes
    and hangs of each. Notes of AFL's are left out
  - a corpus of libFuzzer, with crash-*, timeout-* and other artifacts
  - a corpus file, a capture (pcap, pcapng, gzipped or not), a raw packet
  - a directory of such files, without its subdirectories

A file that is neither a corpus file nor a capture is taken as a raw packet, which is said.
What is left out is said too, and why; nothing in FROM is changed.`,
		Example: `  bpffuzz import -o bpffuzz-out/firewall testdata/fuzz/FuzzFirewall
  bpffuzz import -o bpffuzz-out/firewall traffic.pcap afl-out`,
		Args: pointed(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usageError("no destination: name an output directory with -o, such as bpffuzz-out/PROGRAM")
			}
			return copyInputs(cmd.Context(), u, newCorpusSink(filepath.Join(out, "corpus")), args)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "output `directory` of bpffuzz run, which is made if it is missing")
	_ = cmd.MarkFlagDirname("output")
	return cmd
}

// exchangeAtOnce is how many inputs are held and written together.
const exchangeAtOnce = 4096

// copyInputs copies inputs to a sink.
func copyInputs(ctx context.Context, u *ui, to sink, from []string) (err error) {
	defer func() { err = errors.Join(err, to.close()) }()
	g := &gatherer{warn: func(err error) { u.warn("%v", err) }}
	read := 0
	var held []*corpus.Input
	flush := func() error {
		if len(held) == 0 {
			return nil
		}
		err := to.put(held)
		read, held = read+len(held), held[:0]
		return explainFull(err)
	}
	for one := range g.each(from) {
		if held = append(held, one.in); len(held) < exchangeAtOnce {
			continue
		}
		if err := cmp.Or(ctx.Err(), flush()); err != nil {
			return fmt.Errorf("copying inputs, of which %d are done: %w", read, err)
		}
	}
	if err := cmp.Or(g.err, flush()); err != nil {
		return err
	}
	g.say(u)
	if read == 0 {
		return fmt.Errorf("no input in %s", strings.Join(from, ", "))
	}
	said, err := to.done()
	if err != nil {
		return explainFull(err)
	}
	u.say("%s", said)
	return nil
}
