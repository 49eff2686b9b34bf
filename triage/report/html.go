package report

import (
	"html/template"
	"strings"

	"github.com/bpffuzz/bpffuzz/triage"
)

// HTML returns a finding as one page that loads nothing else, light or dark as the
// reader's system is.
func HTML(f *triage.Finding, opts Options) ([]byte, error) { return htmlOf(f, opts, nil) }

func htmlOf(f *triage.Finding, opts Options, r *Recipe) ([]byte, error) {
	t, err := template.New("report.html").Parse(htmlPage)
	if err != nil {
		return nil, err
	}
	var s strings.Builder
	if err := t.Execute(&s, newPage(f, opts, r)); err != nil {
		return nil, err
	}
	return []byte(s.String()), nil
}

// htmlPage is a template of html/template, which escapes all that comes from a finding.
const htmlPage = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{.Oracle}}: {{.Program}}</title>
<style>
:root { color-scheme: light dark; --text: #1f2328; --back: #ffffff; --soft: #f3f4f6; --line: #d0d7de; --mark: #ffe28a; --diff: #ffb4a8; --dim: #59636e }
@media (prefers-color-scheme: dark) {
	:root { --text: #e6edf3; --back: #0d1117; --soft: #161b22; --line: #30363d; --mark: #6b5200; --diff: #8a2a1d; --dim: #9198a1 }
}
body { color: var(--text); background: var(--back); font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.35rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid var(--line) } h3 { font-size: 1rem }
pre, code, td.value { font-family: ui-monospace, monospace; font-size: 13px }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: .6rem; overflow-x: auto }
table { border-collapse: collapse; margin: .5rem 0 } th, td { text-align: left; vertical-align: top; padding: .15rem .8rem .15rem 0 }
th { font-weight: 600 } td.name { color: var(--dim) }
mark { color: inherit; background: var(--mark); border-radius: 2px } tr.matters td { background: var(--mark) }
ins { text-decoration: none; background: var(--diff); border-radius: 2px; font-weight: 700 }
.dim { color: var(--dim) } .layers { display: flex; flex-wrap: wrap; gap: 1rem 2rem }
</style>
</head>
<body>
<h1>{{.Oracle}}: {{.Title}}</h1>
<table>
<tr><th scope="row">key</th><td>{{.Key}}</td></tr>
<tr><th scope="row">program</th><td>{{.Program}} ({{.Type}})</td></tr>
<tr><th scope="row">reliability</th><td>{{.Reliability}}</td></tr>
<tr><th scope="row">input</th><td>{{.Input}}</td></tr>
</table>
{{with .Command}}<p>Replay it with</p>
<pre>{{.}}</pre>
{{end}}{{with .Notes}}<h2>Notes</h2>
<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
{{end}}<h2>What matters</h2>
{{if .Matters}}<p>With another value in any one of these, it does not fail. They are <mark>marked</mark> below.</p>
<ul>{{range .Matters}}<li>{{.}}</li>{{end}}</ul>
{{else}}<p>No single field or byte is known to matter.</p>
{{end}}{{with .Cut}}<p class="dim">{{.}}</p>
{{end}}{{with .Nearest}}<h3>Nearest input that passes</h3>
<p>{{.}}</p>
{{end}}{{range .Others}}<h3>{{.Name}}</h3>
{{template "fields" .}}
{{end}}{{with .Maps}}<h2>Maps before the first step</h2>
<pre>{{range .}}{{.}}
{{end}}</pre>
{{end}}{{range .Steps}}<h2>Step {{.Number}}: {{.Result}}</h2>
{{with .Fault}}<p>{{.}}</p>
{{end}}{{with .Given}}<p>context in: {{.}}</p>
{{end}}{{with .Gave}}<p>context out: {{.}}</p>
{{end}}{{if .Dump}}<div class="layers">
{{range .Layers}}<section>
<h3>{{.Name}}</h3>
{{template "fields" .}}
</section>
{{end}}</div>
<pre>{{template "dump" .Dump}}</pre>
{{end}}{{with .Other}}<p>The nearest one that passes; <ins>what differs</ins>:</p>
<pre>{{template "dump" .}}</pre>
{{end}}{{with .Out}}<p>{{.}}</p>
{{end}}{{with .OutText}}<pre>{{.}}</pre>
{{end}}{{end}}{{with .Events}}<h2>Events</h2>
<pre>{{range .}}{{.}}
{{end}}</pre>
{{end}}{{if .Path}}<h2>Path, each edge where it was passed last</h2>
<pre>{{if .Left}}({{.Left}} edges before these)
{{end}}{{range .Path}}{{.}}
{{end}}</pre>
{{end}}{{with .Exports}}<h2>Exports</h2>
<table>{{range .}}<tr><th scope="row">{{.File}}</th><td>{{if .Reproduces}}reproduces it{{else}}does not reproduce it: {{.Why}}{{end}}</td></tr>
{{end}}</table>
{{end}}</body>
</html>
{{define "fields"}}<table>{{range .Fields}}<tr{{if .Matters}} class="matters"{{end}}><td class="name">{{.Name}}</td><td class="value">{{.Value}}{{if .Matters}} <span class="dim">passes with {{.Passes}}</span>{{end}}</td></tr>
{{end}}</table>{{end}}
{{define "dump"}}{{range .}}{{.Offset}}  {{range .Bytes}}{{if .Changed}}<ins>{{.Hex}}</ins>{{else if .Matters}}<mark>{{.Hex}}</mark>{{else}}{{.Hex}}{{end}} {{end}} <span class="dim">{{.Text}}</span>
{{end}}{{end}}
`
