package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

func newProbe(u *ui) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Show what this kernel can do",
		Long: `Probe tries what this kernel does with programs of each type and with what bpffuzz
would like to use, with the privileges that the command has. Nothing is looked up
by version, and nothing stays behind. An answer is yes, no, or ? where it could not
be told; with -v the kernel's reasons are shown.`,
		Example: `  bpffuzz probe
  sudo bpffuzz probe -v
  bpffuzz probe --json | jq -r '.types[] | select(.run.state == "yes") | .name'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p := newProbed(bpf.Probe())
			if asJSON {
				return u.printJSON(p)
			}
			u.print(p.text(u.verbose))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object instead of tables")
	return cmd
}

// probed is what probe --json shows.
type probed struct {
	Kernel       string             `json:"kernel"`
	Machine      string             `json:"machine"`
	Types        []probedType       `json:"types"`
	Features     []answer           `json:"features"`
	LiveMax      int                `json:"live_max_packet"`
	LiveBatch    int                `json:"live_max_batch"`
	Capabilities []probedCapability `json:"capabilities"`
}

// answer is yes, no or unknown, with the kernel's reason.
type answer struct {
	Name  string `json:"name,omitempty"`
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
}

// probedType has sizes in bytes; those that the type has no use for are 0.
type probedType struct {
	Name       string   `json:"name"`
	Load       answer   `json:"load"`
	Run        answer   `json:"run"`
	MinPacket  int      `json:"min_packet"`
	MaxPacket  int      `json:"max_packet"`
	MinIPv4    int      `json:"min_ipv4"`
	MinIPv6    int      `json:"min_ipv6"`
	Frags      int      `json:"max_packet_frags"`
	Meta       int      `json:"max_metadata"`
	MinContext int      `json:"min_context"`
	MaxContext int      `json:"max_context"`
	Fields     []string `json:"context_fields"`
	Flags      []answer `json:"flags"`
}

type probedCapability struct {
	Name string `json:"name"`
	Have bool   `json:"have"`
	For  string `json:"for"`
}

func newProbed(f *bpf.Features) *probed {
	p := &probed{Kernel: "unknown", Machine: "unknown", LiveMax: f.LiveMax, LiveBatch: f.LiveBatch, Features: answers(f.Features)}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		p.Kernel, p.Machine = unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Machine[:])
	}
	for i := range f.Types {
		t := &f.Types[i]
		p.Types = append(p.Types, probedType{
			Name: t.Name, Load: newAnswer("", t.Load), Run: newAnswer("", t.Run),
			MinPacket: t.Packet.Min, MaxPacket: t.Packet.Max, MinIPv4: t.MinIPv4, MinIPv6: t.MinIPv6,
			Frags: t.Frags, Meta: t.Meta, MinContext: t.Context.Min, MaxContext: t.Context.Max,
			Fields: append([]string{}, t.Fields...), Flags: answers(t.Flags),
		})
	}
	missing := bpf.MissingCapabilities()
	for _, c := range bpf.Capabilities() {
		p.Capabilities = append(p.Capabilities, probedCapability{c.Name, !slices.Contains(missing, c), c.For})
	}
	return p
}

func answers(probes []bpf.FeatureProbe) []answer {
	all := []answer{}
	for _, f := range probes {
		all = append(all, newAnswer(f.Name, f.Err))
	}
	return all
}

func newAnswer(name string, err error) answer {
	switch {
	case err == nil:
		return answer{Name: name, State: "yes"}
	case errors.Is(err, bpf.ErrNo), errors.Is(err, os.ErrNotExist):
		return answer{Name: name, State: "no", Why: oneLine(err.Error())}
	}
	return answer{Name: name, State: "unknown", Why: oneLine(err.Error())}
}

// short is the answer in a table.
func (a *answer) short() string {
	if a.State == "unknown" {
		return "?"
	}
	return a.State
}

func (p *probed) text(reasons bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "kernel %s on %s\n\n", p.Kernel, p.Machine)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TYPE\tLOADS\tRUNS\tPACKET\tCONTEXT\tALSO")
	for i := range p.Types {
		t := &p.Types[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, t.Load.short(), t.Run.short(),
			span(t.MinPacket, t.MaxPacket), t.context(), strings.Join(t.extras(), ", "))
	}
	w.Flush()
	b.WriteString("\n")
	for i := range p.Features {
		f := &p.Features[i]
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, f.short(), p.remark(f, reasons))
	}
	w.Flush()
	b.WriteString("\n")
	for _, c := range p.Capabilities {
		state := "yes"
		if !c.Have {
			state = "no"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Name, state, c.For)
	}
	w.Flush()
	if reasons {
		p.writeReasons(&b)
	}
	return b.String()
}

func (p *probed) remark(f *answer, reasons bool) string {
	switch {
	case f.Name == "live-frames" && f.State == "yes":
		return fmt.Sprintf("packets up to %d bytes, batches up to %d", p.LiveMax, p.LiveBatch)
	case reasons:
		return f.Why
	}
	return ""
}

func (p *probed) writeReasons(b *strings.Builder) {
	b.WriteString("\n")
	for i := range p.Types {
		t := &p.Types[i]
		for _, a := range []answer{{"load", t.Load.State, t.Load.Why}, {"run", t.Run.State, t.Run.Why}} {
			if a.Why != "" {
				fmt.Fprintf(b, "%s: %s: %s\n", t.Name, a.Name, a.Why)
			}
		}
		if len(t.Fields) > 0 {
			fmt.Fprintf(b, "%s: context fields: %s\n", t.Name, strings.Join(t.Fields, ", "))
		}
		for _, a := range t.Flags {
			if a.Why != "" {
				fmt.Fprintf(b, "%s: %s: %s\n", t.Name, a.Name, a.Why)
			}
		}
	}
}

// context says what a type takes: fields, or a size where it is all the input.
func (t *probedType) context() string {
	if n := len(t.Fields); n > 0 {
		return count(n, "field")
	}
	return span(t.MinContext, t.MaxContext)
}

// extras are what a type takes besides a packet and a context.
func (t *probedType) extras() []string {
	var all []string
	if t.Frags > 0 {
		all = append(all, fmt.Sprintf("frags up to %d", t.Frags))
	}
	if t.Meta > 0 {
		all = append(all, fmt.Sprintf("metadata up to %d", t.Meta))
	}
	for _, f := range t.Flags {
		if f.State == "yes" {
			all = append(all, f.Name)
		}
	}
	return all
}

// span reads "14-3520", "-" for nothing.
func span(from, to int) string {
	if to == 0 {
		return "-"
	}
	return fmt.Sprintf("%d-%d", from, to)
}
