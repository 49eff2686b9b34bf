package main

import "github.com/spf13/cobra"

func newReplay(u *ui) *cobra.Command { return &cobra.Command{Use: "replay"} }
