package ssmrun

import (
	"strconv"
	"time"
)

// Limits of documents, as AWS's documentation states them.
const (
	// MaxDocuments bounds the documents of an account in a region.
	MaxDocuments = 500
	// MaxDocumentVersions bounds the versions of a document.
	MaxDocumentVersions = 1000
	// MaxDocumentShares bounds the accounts that a document is shared with.
	MaxDocumentShares = 1000
)

// Versions of a document by what they are now, as DocumentVersion and
// SharedDocumentVersion spell them.
const (
	DefaultVersion = "$DEFAULT"
	LatestVersion  = "$LATEST"
	AllVersions    = "$ALL" // of a share only
)

// Document is what all versions of a document have in common. One that is
// stored belongs to the account of its scope.
type Document struct {
	Name      string
	Scope     Scope
	Type      string // Command, Automation, …
	CreatedAt time.Time
	// Default is the number of the default version.
	Default int64
	// Latest is the highest number that there is.
	Latest int64
	// Next is the number of the next version: numbers are never used again.
	Next     int64
	Requires []DocumentRequirement
}

// DocumentVersion is one version of a document.
type DocumentVersion struct {
	Number        int64
	Name          string // "" for none; no other version of the document has it
	DisplayName   string
	TargetType    string
	Content       string // as submitted; lists leave it empty
	Format        string // JSON, YAML, TEXT
	SchemaVersion string
	// PlatformTypes are those on which it runs; nil where that was not noted.
	PlatformTypes []string
	CreatedAt     time.Time
	Author        string // ARN of who made it
	Attachments   []AttachmentSource
	// ReviewStatus is "" until the version is sent for review.
	ReviewStatus ReviewStatus
}

// DocumentVersionNumber spells the number of a version.
func DocumentVersionNumber(n int64) string { return strconv.FormatInt(n, 10) }

// DocumentRequirement is a document that another one needs, as it was given.
type DocumentRequirement struct {
	Name        string `json:"Name"`
	Version     string `json:"Version,omitempty"`
	RequireType string `json:"RequireType,omitempty"`
	VersionName string `json:"VersionName,omitempty"`
}

// AttachmentSource says where a file of a document lies, as it was given.
// Nothing fetches it.
type AttachmentSource struct {
	Key    string   `json:"Key,omitempty"`
	Values []string `json:"Values,omitempty"`
	Name   string   `json:"Name,omitempty"`
}

// DocumentShare lets another account use a document.
type DocumentShare struct {
	Account string // 12 digits, or EveryAccount
	Version string // DefaultVersion, LatestVersion or AllVersions
}

// EveryAccount is the account of a share with all.
const EveryAccount = "all"

// ReviewStatus is where a version's review stands.
type ReviewStatus string

// The values of AWS's enum that are used; NOT_REVIEWED is left out of answers.
const (
	ReviewPending  ReviewStatus = "PENDING"
	ReviewApproved ReviewStatus = "APPROVED"
	ReviewRejected ReviewStatus = "REJECTED"
)

// DocumentReview is one word of a reviewer about a version.
type DocumentReview struct {
	Number   int64 // counts from 1 per version, in the order in which they came
	Status   ReviewStatus
	Comment  string // "" for none
	Reviewer string // ARN
	Created  time.Time
	Updated  time.Time
}
