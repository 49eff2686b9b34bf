package main

import (
	"errors"

	"github.com/spf13/cobra"

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
		Args: pointed(cobra.NoArgs),
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
	CPUs         int                `json:"cpus"`
	Types        []probedType       `json:"types"`
	Features     []probedFeature    `json:"features"`
	LiveMax      int                `json:"live_max_packet"`
	LiveBatch    int                `json:"live_max_batch"`
	Capabilities []probedCapability `json:"capabilities"`
}

// answer is "yes", "no" or "unknown", with the kernel's reason.
type answer struct {
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
}

// probedType has sizes in bytes; those that the type has no use for are 0.
type probedType struct {
	Name       string            `json:"name"`
	Load       answer            `json:"load"`
	Run        answer            `json:"run"`
	MinPacket  int               `json:"min_packet"`
	MaxPacket  int               `json:"max_packet"`
	MinIPv4    int               `json:"min_ipv4"`
	MinIPv6    int               `json:"min_ipv6"`
	Frags      int               `json:"max_packet_frags"`
	Meta       int               `json:"max_metadata"`
	MinContext int               `json:"min_context"`
	MaxContext int               `json:"max_context"`
	Fields     []string          `json:"context_fields"`
	Flags      map[string]answer `json:"flags"`

	flags []string // names in order
}

type probedFeature struct {
	Name string `json:"name"`
	answer
	For     string `json:"for,omitempty"`
	Without string `json:"without,omitempty"`
}

type probedCapability struct {
	Name string `json:"name"`
	Have bool   `json:"have"`
	For  string `json:"for"`
}

func newProbed(r *bpf.Report) *probed {
	p := &probed{Kernel: r.Kernel, Machine: r.Machine, CPUs: r.CPUs, LiveMax: r.LiveMax, LiveBatch: r.LiveBatch}
	for i := range r.Types {
		p.Types = append(p.Types, newProbedType(&r.Types[i]))
	}
	for _, f := range r.Features {
		p.Features = append(p.Features, probedFeature{f.Name, newAnswer(f.Err), f.For, f.Without})
	}
	for _, c := range r.Capabilities {
		p.Capabilities = append(p.Capabilities, probedCapability{c.Name, c.Have, c.For})
	}
	return p
}

func newProbedType(t *bpf.TypeReport) probedType {
	p := probedType{
		Name: t.Type, Load: newAnswer(t.Load), Run: newAnswer(t.Err),
		MinPacket: t.Min, MaxPacket: t.Max, MinIPv4: t.MinIPv4, MinIPv6: t.MinIPv6,
		Frags: t.Frags, Meta: t.Meta, MinContext: t.ContextMin, MaxContext: t.ContextMax,
		Fields: append([]string{}, t.Context...), Flags: map[string]answer{},
	}
	for _, f := range t.Flags {
		p.flags = append(p.flags, f.Name)
		p.Flags[f.Name] = newAnswer(f.Err)
	}
	return p
}

func newAnswer(err error) answer {
	switch {
	case err == nil:
		return answer{State: "yes"}
	case errors.Is(err, bpf.ErrUnknown):
		return answer{"unknown", oneLine(err.Error())}
	}
	return answer{"no", oneLine(err.Error())}
}
