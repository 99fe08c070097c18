// Where Tweeze's engine keeps its folders: 'tweeze install audacity' writes the path of them here.
// Empty, it is the usual folder.
module.exports = { home: "" }
