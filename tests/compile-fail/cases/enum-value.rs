use pii::PiiEnum;

#[derive(PiiEnum)]
enum Status {
    Healthy,
    Ill(u8),
}

#[derive(PiiEnum)]
enum Colour {
    #[pii(name = "red")]
    Red,
    #[pii(name = "red")]
    Scarlet,
    #[pii(colour = "blue")]
    Blue,
}

#[derive(PiiEnum)]
struct NoEnum;

#[derive(PiiEnum)]
enum Nothing {}

fn main() {}
