package awsapi

import (
	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

// Statuses of documents.
const (
	documentCreating = "Creating"
	documentUpdating = "Updating"
	documentActive   = "Active"
)

// documentStatus is what a read says of a version. It is Active as soon as the
// call that made it is answered. Under --emulate aws-races it takes a moment, as AWS does.
func (a *API) documentStatus(_ *ssmrun.Document, v *ssmrun.DocumentVersion) string {
	switch {
	case !a.races.changing(v.CreatedAt):
		return documentActive
	case v.Number == 1:
		return documentCreating
	default:
		return documentUpdating
	}
}

type documentDescription struct {
	Hash                   string
	HashType               string
	Name                   string
	DisplayName            string `json:",omitempty"`
	VersionName            string `json:",omitempty"`
	Owner                  string
	CreatedDate            epoch
	Status                 string
	DocumentVersion        string
	Description            string                          `json:",omitempty"`
	Parameters             []document.ParameterDescription `json:",omitzero"`
	PlatformTypes          []string                        `json:",omitempty"`
	DocumentType           string
	SchemaVersion          string `json:",omitempty"`
	LatestVersion          string
	DefaultVersion         string
	DocumentFormat         string
	TargetType             string `json:",omitempty"`
	Tags                   []tagJSON
	AttachmentsInformation []attachmentInformation      `json:",omitempty"`
	Requires               []ssmrun.DocumentRequirement `json:",omitempty"`
	ReviewInformation      []reviewInformation          `json:",omitempty"`
	ApprovedVersion        string                       `json:",omitempty"`
	PendingReviewVersion   string                       `json:",omitempty"`
	ReviewStatus           ssmrun.ReviewStatus          `json:",omitempty"`
	// Of DescribeDocument only, and always empty.
	Category     []string `json:",omitzero"`
	CategoryEnum []string `json:",omitzero"`
}

type attachmentInformation struct{ Name string }

type reviewInformation struct {
	ReviewedTime epoch
	Status       ssmrun.ReviewStatus
	Reviewer     string
}

// describe makes a DocumentDescription, in the transaction in which l was read.
func (a *API) describe(tx store.Tx, l *loaded) (*documentDescription, error) {
	v := &l.version
	out := &documentDescription{
		Hash: l.hashes()[0], HashType: "Sha256", Name: l.shown, DisplayName: v.DisplayName, VersionName: v.Name,
		Owner: l.owner, CreatedDate: epoch(v.CreatedAt), Status: a.documentStatus(&l.Document, v),
		DocumentVersion: ssmrun.DocumentVersionNumber(v.Number), PlatformTypes: l.platforms, DocumentType: l.Type,
		SchemaVersion: v.SchemaVersion, LatestVersion: ssmrun.DocumentVersionNumber(l.Latest),
		DefaultVersion: ssmrun.DocumentVersionNumber(l.Default), DocumentFormat: v.Format, TargetType: v.TargetType,
		Requires: l.Requires, ReviewStatus: v.ReviewStatus,
	}
	d := document.Description{}
	if l.parsed != nil {
		d = l.parsed.Describe()
	} else {
		d = document.Summary([]byte(v.Content), v.Format)
	}
	out.Description, out.Parameters = d.Description, d.Parameters
	for _, s := range v.Attachments {
		if s.Name != "" {
			out.AttachmentsInformation = append(out.AttachmentsInformation, attachmentInformation{s.Name})
		}
	}
	var err error
	if out.Tags, err = documentTags(tx, &l.opened); err != nil || l.builtIn != nil {
		return out, err
	}
	return out, l.describeReviews(tx, out)
}

// describeReviews fills in what there is where something was reviewed.
func (l *loaded) describeReviews(tx store.Tx, out *documentDescription) error {
	versions, err := tx.DocumentVersions(l.Scope, l.Name)
	if err != nil {
		return err
	}
	for i := range versions { // newest first
		n := ssmrun.DocumentVersionNumber(versions[i].Number)
		switch versions[i].ReviewStatus {
		case ssmrun.ReviewApproved:
			out.ApprovedVersion = orElse(out.ApprovedVersion, n)
		case ssmrun.ReviewPending:
			out.PendingReviewVersion = orElse(out.PendingReviewVersion, n)
		}
	}
	if l.version.ReviewStatus == "" {
		return nil
	}
	reviews, err := tx.DocumentReviews(l.Scope, l.Name, l.version.Number)
	for i := range reviews {
		r := &reviews[i]
		out.ReviewInformation = append(out.ReviewInformation, reviewInformation{epoch(r.Updated), r.Status, r.Reviewer})
	}
	return err
}

// documentTags gives the tags by key; a document's are for its account only.
func documentTags(tx store.Tx, o *opened) ([]tagJSON, error) {
	if o.builtIn != nil || o.shares != nil {
		return []tagJSON{}, nil
	}
	tags, err := tx.Tags(o.Scope, tagDocument, o.Name)
	return tagsOut(tags), err
}
